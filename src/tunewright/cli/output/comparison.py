"""Two studies or runs side by side, as they are printed."""

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tunewright.cli.output.compression import print_compared
from tunewright.cli.output.formatting import figure, format_command, from_here, print_line
from tunewright.errors import printable

if TYPE_CHECKING:
    from tunewright.analysis.comparison import Comparison
    from tunewright.deliver.compression.compare import CompareReport

ROWS = 24
"""Rows of what differs, and of classes, at most."""


def print_comparison(console: Console, found: "Comparison | CompareReport") -> None:
    """Print what differs and the differences of the scores; of codecs, their points and BD-rates.

    Names come from strangers' files, so that their control characters are escaped.
    """
    from tunewright.deliver.compression.compare import CompareReport

    if isinstance(found, CompareReport):
        print_compared(console, found)
        return
    for title, rows in (("search space", found.space), ("configuration", found.configuration)):
        if rows:
            console.print(_differing_table(title, rows, found.names))
    if not found.space and not found.configuration:
        print_line(console, "no setting and no parameter of the space differs")
    if found.scores:
        console.print(_scores_table(found))
    apart = [row for row in found.rows if row.verdict in ("better", "worse")]
    if found.rows:
        count = f"{len(apart)} of {len(found.rows)}"
        by_chance = f"about {0.05 * len(found.rows):.1f} would by chance"
        print_line(console, f"{count} classes differ beyond their own 95 % interval; {by_chance}")
    for row in sorted(apart, key=lambda row: -abs(row.value or 0.0))[:ROWS]:
        print_line(
            console, f"  {row.of}: {row.metric} {figure(row.first)} and {figure(row.second)}"
        )
    for note in found.notes:
        print_line(console, f"note: {note}")
    if found.file is not None:
        print_line(console, f"  {from_here(found.file)}")
    else:
        command = format_command("compare", *found.names, "--output", "compare.html")
        print_line(console, f"next: {command}")


def _differing_table(
    title: str, rows: "tuple[tuple[str, Any, Any], ...]", names: tuple[str, str]
) -> Table:
    left = len(rows) - ROWS
    caption = f"{left} more rows are in --json" if left > 0 else None
    table = Table(title=f"{title}: what differs", caption=caption)
    for column in ("", *names):
        table.add_column(printable(column), overflow="fold")
    for name, first, second in rows[:ROWS]:
        table.add_row(*(printable(_format_value(value)) for value in (name, first, second)))
    return table


def _format_value(value: Any) -> str:
    return "-" if value is None else figure(value)


def _scores_table(found: "Comparison") -> Table:
    table = Table(title=f"differences: the second less the first, goal {found.goal}")
    table.add_column("of", overflow="fold")
    table.add_column("metric", overflow="fold")
    for name in (*found.names, "difference", "95 % interval"):
        table.add_column(printable(name), justify="right", overflow="fold")
    table.add_column("", overflow="fold")
    for row in found.scores:
        ends = row.low is not None and row.high is not None
        table.add_row(
            printable(row.of),
            printable(row.metric),
            figure(row.first),
            figure(row.second),
            "" if row.value is None else f"{row.value:+.4g}",
            f"{row.low:+.3g} .. {row.high:+.3g}" if ends else "",
            ", ".join(filter(None, (row.verdict, row.method, row.why))),
        )
    return table
