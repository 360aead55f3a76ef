import io

import pytest
from rich.table import Table
from rich.text import Text

from tunewright.cli.output.safe_console import WHOLE, SafeConsole
from tunewright.cli.output.tables import trials_table
from tunewright.errors import DataError, printable

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\r\u202egnp.exe"


@pytest.mark.parametrize("terminal", [True, False])
def test_control_characters_are_shown(terminal):
    file = io.StringIO()
    console = SafeConsole(
        file=file, width=200, force_terminal=terminal, color_system="standard" if terminal else None
    )
    table = Table(HOSTILE)
    table.add_row(HOSTILE)
    console.print(table)
    console.print(Text.assemble((HOSTILE, "red"), "é ▁\tx\ny"))
    console.print(HOSTILE, soft_wrap=True, markup=False)
    shown = file.getvalue()
    for sign in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\r", "\u202e"):
        assert sign not in shown
    assert r"\x1b]0;title" in shown
    assert "é ▁" in shown
    assert ("\x1b[31m" in shown) is terminal  # our own colours


def test_messages_are_printable():
    error = DataError(f"the file {HOSTILE}", expected="x\ty\nz", remedy="\udcff")
    assert "\x1b" not in str(error)
    assert r"\udcff" in str(error)
    assert "x\ty\nz" in str(error)
    assert printable("plain, ångström, 日本") == "plain, ångström, 日本"


def printed(table: Table, width: int, wide: bool | None) -> str:
    console = SafeConsole(wide, width=width, file=io.StringIO(), highlight=False)
    console.print(table)
    return console.file.getvalue()


def test_a_table_that_was_cut_says_so_and_is_whole_when_wide():
    table = Table("name")
    table.add_row("x" * 100)
    cut = printed(table, 80, wide=False)
    assert "x" * 90 not in cut
    assert "cut to 80 columns; whole with --wide or --json" in cut
    assert "x" * 100 in printed(table, 80, wide=True)
    assert "analyze --wide" in printed(table, 80, wide=None)


def test_a_table_that_fits_says_nothing():
    table = Table("name")
    table.add_row("with … inside, and words that are folded over lines " * 2)
    assert "cut to" not in printed(table, 80, wide=False)


def test_the_best_trials_that_do_not_fit_are_counted():
    rows = [
        {"trial": n, "score": 1.0, "others": {}, "epochs": 1, "parameters": {"x": n}}
        for n in range(10)
    ]
    assert trials_table(rows, ["x"], 30).caption == "5 more trials: --wide or --json"
    assert trials_table(rows, ["x"], WHOLE).caption is None


def test_long_values_never_hide_the_names_of_rows():
    """Rich took the width that long values want from the column of names, down to nothing."""
    text = "a_rather_long_choice_of_a_loss"
    rows = [
        {
            "trial": number, "score": 0.5, "others": {}, "metrics": {"val_balanced_accuracy": 0.4},
            "epochs": 8, "parameters": {"loss.type": text},
        }
        for number in range(7)
    ]  # fmt: skip
    stream = io.StringIO()
    console = SafeConsole(file=stream, width=80)
    console.print(trials_table(rows, ["loss.type"], 80))
    shown = stream.getvalue()
    assert "val_balanced_accuracy" in shown
    assert text in shown
    assert "6 more trials" in shown
