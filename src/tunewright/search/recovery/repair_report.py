"""What a repair found and changed: written line by line, and returned as one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tunewright.result import Result
from tunewright.runs.folder import StudyFolder


@dataclass(frozen=True)
class RepairReport(Result):
    """The findings and changes of a repair.

    rebuilt: why the database was rebuilt; empty when it was intact. kept: where the old file is.
    added: trials missing from it. filled: values added to trials it had. differing: disagreements
    with the folders, which are left alone. lost: what no folder tells any more.
    """

    folder: StudyFolder
    rebuilt: str
    kept: Path | None
    added: tuple[int, ...]
    filled: tuple[str, ...]
    differing: tuple[str, ...]
    lost: tuple[str, ...]
    by_state: Mapping[str, int]


@dataclass
class RepairLog:
    """The lines of a `RepairReport` while the repair is at work."""

    added: list[int] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    by_state: dict[str, int] = field(default_factory=dict)
