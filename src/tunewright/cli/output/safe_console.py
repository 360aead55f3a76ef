"""A console that shows control characters as text, and says where a table was cut."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from tunewright.errors import printable

WHOLE = 10_000
"""Columns in which any table fits."""
CUT = "…"
"""What a table has in the place of text that did not fit."""


class SafeConsole(Console):
    """Rich's console, whose colours are its own; those that come inside a text are escaped.

    wide: print tables as wide as they are. Otherwise a line below a table that was cut says so, and
    how to see it whole; None for a command without `--wide`.
    """

    def __init__(self, wide: bool | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.wide = wide

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yield the segments of a renderable, with printable text."""
        for segment in super().render(renderable, options):
            if segment.control or (text := printable(segment.text)) == segment.text:
                yield segment
            else:
                yield Segment(text, segment.style)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as Rich does; a single table whole with `wide`, else with a line if it was cut."""
        table = objects[0] if len(objects) == 1 and isinstance(objects[0], Table) else None
        if table is None:
            super().print(*objects, **options)
            return
        whole = self.measure(table, options=self.options.update(max_width=WHOLE)).maximum
        if whole <= self.width:
            super().print(table, **options)
        elif self.wide:
            terminal, self.width = self.width, whole
            super().print(table, **options)
            self.width = terminal
        else:
            super().print(table, **options)
            if self._cuts(table, self.width) > self._cuts(table, whole):
                how = "--wide or --json" if self.wide is not None else "analyze --wide"
                super().print(f"cut to {self.width} columns; whole with {how}")

    def _cuts(self, table: Table, width: int) -> int:
        """Return in how many places a table of this width leaves out text."""
        lines = self.render_lines(table, self.options.update(width=width, max_width=width))
        return sum(segment.text.count(CUT) for line in lines for segment in line)


def table_width(console: Console) -> int:
    """Return the columns that a table may take."""
    return WHOLE if isinstance(console, SafeConsole) and console.wide else console.width
