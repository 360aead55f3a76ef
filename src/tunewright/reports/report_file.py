"""What a command that writes a report returns."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

from tunewright.reports.notebook import address, link
from tunewright.result import Result

PICTURES = (".png", ".svg")
"""Suffixes of figures that a notebook shows as they are."""


@dataclass(frozen=True)
class ReportFile(Result):
    """A report that was written. of: the name of the study or run. figure: of one figure alone."""

    of: str
    file: Path
    figure: str | None = None

    def _repr_html_(self) -> str:
        """Return the report in a frame, or the figure, and a link to its file."""
        place, kind = escape(address(self.file)), self.file.suffix.lower()
        about = escape(f"the {self.figure or 'report'} of {self.of}")
        shown = ""
        if kind in PICTURES:
            shown = f'<img src="{place}" alt="{about}" style="max-width: 100%">'
        elif kind == ".html":
            style = "width: 100%; height: 640px; border: 0"
            shown = f'<iframe src="{place}" title="{about}" style="{style}"></iframe>'
        return shown + link(self.file, self.file.name)
