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

NO_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "alloc_failed",
    "bad_alloc",
    "memoryerror",
)


@dataclass(frozen=True)
class Progress:
    """One line of `progress.jsonl`: the metrics after `step` epochs of training.

    seconds: training time since the run began, all attempts together.
    memory_mib, device_mib: the peaks of this attempt until now, in RAM that only its worker
    holds, and on the GPU.
    """

    attempt: int
    step: int
    metrics: Mapping[str, float]
    seconds: float
    memory_mib: float = 0.0
    device_mib: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How an attempt at a run ended; `metrics` are those of `best_step`.

    memory_mib, device_mib: the peaks of the attempt, in RAM that only its worker holds, and on
    the GPU. idle_mib: RAM that the worker held before it.
    """

    state: OutcomeState
    attempt: int
    cause: Cause = ""
    reason: str = ""
    best_step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    memory_mib: float = 0.0
    device_mib: float = 0.0
    idle_mib: float = 0.0


def speaks_of_memory(text: str) -> bool:
    """Whether a message says that an allocation failed; torch, CUDA and the C library differ."""
    text = text.lower()
    return any(phrase in text for phrase in NO_MEMORY)


@dataclass(frozen=True)
class Request:
    """What the coordinator asks of a running attempt: pause, prune or cancel."""

    kind: Literal["pause", "prune", "cancel"]
    attempt: int
    reason: str = ""


@dataclass(frozen=True)
class Trial:
    """A trial as the analysis sees it: parameters by config path, its curve by epoch."""

    number: int
    state: TrialState
    parameters: Mapping[str, object]
    score: float | None
    curve: Mapping[int, float]
    cause: Cause = ""
    reason: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class StudyRecord:
    """A study at rest: what `analyze` and the summary files are made of."""

    name: str
    recipe: str
    goal: str
    direction: Literal["max", "min"]
    trials: tuple[Trial, ...]

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
