"""The result of `tunewright schedule`, as it is printed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tunewright.cli.output.formatting import figure, from_here, print_line

if TYPE_CHECKING:
    from tunewright.deliver.schedule import ScheduleTable


def print_schedule(console: Console, found: "ScheduleTable") -> None:
    """Print the values at the key epochs, the comparison of strategies, and the files."""
    for notice in found.notices:
        print_line(console, f"note: {notice}")
    for line in found.plan:
        print_line(console, line)
    names = [f"{name} ({found.kinds[name]})" for name in found.values]
    columns = {
        **dict(zip(names, found.values.values(), strict=True)),
        **{f"{name} (last epoch)": known for name, known in found.recorded.items()},
    }
    console.print(_table(f"{found.recipe}, {found.epochs} epochs", found.key_epochs, columns))
    for name, strategies in found.comparison.items():
        mark = {
            f"{kind} *" if kind == found.kinds.get(name) else kind: values
            for kind, values in strategies.items()
        }
        table = _table(f"{name} by strategy", found.key_epochs, mark)
        if mark.keys() != strategies.keys():
            table.caption = "* of this configuration"
        console.print(table)
    for file in found.files:
        print_line(console, f"drawn: {from_here(file)}")


def _table(
    title: str, epochs: Sequence[int], columns: Mapping[str, Sequence[float | None]]
) -> Table:
    table = Table(title=title)
    table.add_column("epochs done", justify="right")
    for name in columns:
        table.add_column(name, justify="right")
    for place, epoch in enumerate(epochs):
        row = [values[place] for values in columns.values()]
        table.add_row(str(epoch), *("" if value is None else figure(value) for value in row))
    return table
