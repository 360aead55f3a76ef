"""The result of `narrow`, as it is printed."""

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from tunewright.analysis.findings.wording import join_words, trials
from tunewright.cli.output.formatting import figure, format_command, from_here, print_line
from tunewright.cli.output.safe_console import table_width
from tunewright.errors import printable

if TYPE_CHECKING:
    from rich.console import Console

    from tunewright.analysis.narrowing.narrowing import NarrowedSpace, Narrowing

EACH = 50
"""Trials around each region, as in the guides."""


def print_narrowing(console: "Console", found: "Narrowing") -> None:
    """Print each parameter before and after with the reason, what is cut, and what to type next."""
    print_line(
        console,
        f"{found.study}: {trials(found.trials)}, the {found.top} best of them kept, "
        f"best {found.goal} = {figure(found.score)}",
    )
    console.print(_table("the space of the next stage", found), width=table_width(console))
    _print_cut(console, found)
    if len(found.regions) > 1:
        for region in found.regions:
            title = printable(region.header[0])
            console.print(_table(title, region), width=table_width(console))
            _print_cut(console, region)
    for notice in found.notices:
        print_line(console, f"note: {printable(notice)}")
    if found.idle:
        fixes = "it" if len(found.idle) == 1 else "them"
        text = f"note: {join_words(found.idle)} without effect; --lock fixes {fixes}"
        print_line(console, printable(text))
    console.rule("next")
    for line in next_commands(found):
        print_line(console, f"  {line}")


def _table(title: str, space: "NarrowedSpace") -> Table:
    table = Table(title=title)
    table.add_column("parameter", overflow="fold")
    table.add_column("searched", overflow="fold")
    table.add_column("next", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("why", overflow="fold")
    for one in space.parameters:
        after = "" if one.after is None else str(one.after)
        style = "dim" if one.change == "kept" else None
        cells = (one.path, str(one.before), after, one.change, one.reason)
        table.add_row(*(Text(printable(cell)) for cell in cells), style=style)
    return table


def _print_cut(console: "Console", space: "NarrowedSpace") -> None:
    cut = space.cut
    if not cut.count:
        print_line(console, f"{trials(space.fitting)} lie in it, and none outside")
        return
    best = ""
    if cut.best is not None:
        best = f", the best of them trial {cut.best_trial} with {figure(cut.best)}"
    print_line(console, f"{trials(space.fitting)} lie in it; {cut.count} fall out{best}")


def next_commands(found: "Narrowing") -> list[str]:
    """Return what to type next: to write the space, or to search in what was written."""
    context = found.context
    if not found.files:
        where = [context.study] if context.study else []
        several = ["--regions", str(len(found.regions))] if len(found.regions) > 1 else []
        if not where:
            return ["the same command with --write space2.yaml"]
        return [format_command("narrow", *where, *several, "--write", "space2.yaml")]
    if context.needs_python:
        return [f"tune(function, {str(from_here(file))!r}, ...)" for file in found.files]
    lines = []
    around = len(found.files) > 1
    for place, file in enumerate(found.files, 1):
        name = f"{found.study}-refine" + (f"-{place}" if around else "")
        trials = ("--trials", str(EACH)) if around else ()
        words = ("--from", context.study, "--space", file, "--name", name, *trials)
        lines.append(format_command("tune", *words))
    return lines
