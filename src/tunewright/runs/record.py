"""What a run tells: frozen values that pass between worker, coordinator, analysis and report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

OutcomeState = Literal["done", "pruned", "paused", "failed"]
TrialState = Literal["running", "done", "pruned", "infeasible", "failed"]
STATES: tuple[TrialState, ...] = ("done", "pruned", "infeasible", "failed", "running")
Cause = Literal["", "diverged", "out of memory", "timed out", "killed", "error", "interrupted"]

INFEASIBLE: tuple[Cause, ...] = ("diverged", "out of memory")
"""Causes that lie in the configuration: told to the sampler as violated constraints."""


@dataclass(frozen=True)
class Progress:
    """One line of `progress.jsonl`: the metrics after `step` epochs of training.

    seconds: training time since the run began, all attempts together.
    memory_mib: peak memory of the worker (resident set, or allocator peak on a GPU).
    """

    attempt: int
    step: int
    metrics: Mapping[str, float]
    seconds: float
    memory_mib: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How an attempt at a run ended; `metrics` are those of `best_step`."""

    state: OutcomeState
    attempt: int
    cause: Cause = ""
    reason: str = ""
    best_step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Request:
    """What the coordinator asks of a running attempt: pause, prune or cancel."""

    kind: Literal["pause", "prune", "cancel"]
    attempt: int
    reason: str = ""


@dataclass(frozen=True)
class Trial:
    """A trial as the analysis sees it: parameters by config path, its curve by epoch.

    imported_from: `STUDY/17` for one that ran in another study, and has no folder in this one.
    """

    number: int
    state: TrialState
    parameters: Mapping[str, object]
    score: float | None
    curve: Mapping[int, float]
    cause: Cause = ""
    reason: str = ""
    seconds: float | None = None
    imported_from: str = ""


@dataclass(frozen=True)
class StudyRecord:
    """A study at rest: what `analyze` and the summary files are made of."""

    name: str
    recipe: str
    goal: str
    direction: Literal["max", "min"]
    trials: tuple[Trial, ...]

    @property
    def own(self) -> tuple[Trial, ...]:
        """The trials that this study ran itself: those that its total counts."""
        return tuple(trial for trial in self.trials if not trial.imported_from)

    def of_state(self, *states: TrialState) -> list[Trial]:
        """The trials in one of `states`, by number."""
        return [trial for trial in self.trials if trial.state in states]

    def ranked(self) -> list[Trial]:
        """Finished trials with a score, best first; ties go to the earlier one."""
        sign = -1.0 if self.direction == "max" else 1.0
        scored = [t for t in self.of_state("done") if t.score is not None]
        return sorted(scored, key=lambda t: (sign * (t.score or 0.0), t.number))

    @property
    def best(self) -> Trial | None:
        """The finished trial with the best score, if any finished."""
        ranked = self.ranked()
        return ranked[0] if ranked else None
