"""What a command that writes a report returns."""

from dataclasses import dataclass
from pathlib import Path

from tunewright.result import Result


@dataclass(frozen=True)
class ReportFile(Result):
    """A report that was written. of: the name of the study or run. figure: of one figure alone."""

    of: str
    file: Path
    figure: str | None = None
