"""What a study says of the space of its next stage, as values."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tunewright.analysis.findings.finding import StudyContext
from tunewright.analysis.findings.wording import trials
from tunewright.analysis.narrowing.space_file import space_text
from tunewright.result import Result, to_json
from tunewright.runs.atomic import write_text
from tunewright.spaces.domain import Domain

Change = Literal["narrowed", "widened", "moved", "fixed", "kept", "dropped"]


@dataclass(frozen=True)
class NarrowedParameter:
    """One parameter before and after.

    after: None where it no longer exists. reason: why, in one sentence. best: its value in the best
    trial; None where that lacks it.
    """

    path: str
    before: Domain
    after: Domain | None
    change: Change
    reason: str
    best: Any = None

    def as_json(self) -> dict[str, Any]:
        """Return the parameter with its domains as they are printed."""
        after = None if self.after is None else str(self.after)
        return {
            "path": self.path,
            "before": str(self.before),
            "after": after,
            "change": self.change,
            "reason": self.reason,
            "best": to_json(self.best),
        }


@dataclass(frozen=True)
class CutTrials:
    """The trials that lie outside of a narrowed space.

    best, best_trial: the best score among them and its trial; None where none finished.
    """

    count: int
    best: float | None = None
    best_trial: int | None = None


@dataclass(frozen=True)
class NarrowedSpace(Result):
    """A space for the next stage. fitting: trials of the study that lie in it.

    specification: as a space file of ours has it.
    """

    parameters: tuple[NarrowedParameter, ...]
    specification: Mapping[str, Any]
    fitting: int
    cut: CutTrials
    header: tuple[str, ...] = ()

    @property
    def is_smaller(self) -> bool:
        """Whether anything was changed."""
        return any(one.change != "kept" for one in self.parameters)

    @classmethod
    def as_searched(cls, specification: Mapping[str, Any]) -> "NarrowedSpace":
        """Return a space as it was searched."""
        whole = {**specification, "inherit": False}
        return cls((), whole, 0, CutTrials(0), ("The space of the first search, as it was.",))

    def describe(self) -> str:
        """Return how many parameters were changed, and what lies outside."""
        changed = Counter(one.change for one in self.parameters if one.change != "kept")
        how = ", ".join(f"{count} {change}" for change, count in changed.items()) or "unchanged"
        return f"{how}; {trials(self.fitting)} lie in it, {self.cut.count} outside"

    def as_json(self) -> dict[str, Any]:
        """Return the parameters, the counts and the space file."""
        return {
            "parameters": [one.as_json() for one in self.parameters],
            "fitting": self.fitting,
            "cut": to_json(self.cut),
            "space": to_json(self.specification),
        }

    def write(self, file: Path) -> None:
        """Write the space file, which says why each domain is what it is.

        Raises NotWritten where the disk refuses it.
        """
        reasons = {one.path: f"{one.change}: {one.reason}" for one in self.parameters}
        write_text(file, space_text(self.specification, reasons, self.header))


@dataclass(frozen=True)
class Narrowing(NarrowedSpace):
    """The space of the next stage, from the trials of a study.

    regions: the spaces around the best groups of trials, where several were asked for. goal,
    direction: what was narrowed for. trials: those behind it, `top` of them the best. score: the
    best one. notices: what else to know. idle: parameters that surely make no difference, and
    stay. context: how the study was run.
    """

    study: str = ""
    goal: str = ""
    direction: str = ""
    trials: int = 0
    top: int = 0
    score: float | None = None
    regions: tuple[NarrowedSpace, ...] = ()
    notices: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    idle: tuple[str, ...] = ()
    context: StudyContext = field(default_factory=StudyContext)

    def write_all(self, file: Path) -> list[Path]:
        """Write the space, or one for each of several regions: `space-1.yaml` and so on.

        Returns the files. Raises NotWritten where the disk refuses one.
        """
        if len(self.regions) < 2:
            self.write(file)
            return [file]
        files = []
        for place, region in enumerate(self.regions, 1):
            files.append(file.with_name(f"{file.stem}-{place}{file.suffix}"))
            region.write(files[-1])
        return files

    def as_json(self) -> dict[str, Any]:
        """Return what was narrowed for, the space, and the regions."""
        return {
            "study": self.study,
            "goal": self.goal,
            "direction": self.direction,
            "trials": self.trials,
            "top": self.top,
            "score": to_json(self.score),
            **super().as_json(),
            "regions": [one.as_json() for one in self.regions],
            "without_effect": list(self.idle),
            "notices": list(self.notices),
            "files": to_json(self.files),
        }
