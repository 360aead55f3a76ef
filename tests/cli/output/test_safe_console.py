import io

import pytest
from rich.table import Table
from rich.text import Text

from tunewright.cli.output.safe_console import SafeConsole
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
