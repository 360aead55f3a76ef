"""Frozen results of runs that pass between worker, coordinator, analysis and report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

OutcomeState = Literal["done", "pruned", "paused", "failed"]
TrialState = Literal["running", "paused", "done", "pruned", "infeasible", "failed"]
STATES: tuple[TrialState, ...] = ("done", "pruned", "infeasible", "failed", "paused", "running")
OPEN: tuple[TrialState, ...] = ("running", "paused")
"""States of trials that have not ended; a paused one waits at a rung and has no worker."""
Cause = Literal[
    "",
    "diverged",
    "task weights collapsed",
    "out of memory",
    "constraint",
    "timed out",
    "killed",
    "error",
    "interrupted",
]
Direction = Literal["max", "min"]

COSTS: Mapping[str, str] = {
    "parameters": "weights that the model has",
    "size_mib": "MiB of its weights and buffers",
    "latency_ms": "milliseconds to predict one row, median, on the training device",
    "memory_mib": "MiB of RAM that its worker alone held at the peak of the run",
    "device_mib": "MiB of GPU memory at the peak of the run",
    "seconds": "training time",
}
"""Costs that every run reports besides its task's metrics; less is better."""

INFEASIBLE: tuple[Cause, ...] = ("diverged", "task weights collapsed", "out of memory")
"""Causes that lie in the configuration: the sampler sees them as violated constraints."""

ROUNDING = 1e-9
"""Scores that differ by less, relative to the larger one, are equal up to rounding."""

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

    seconds: training time since the run began, all attempts together. memory_mib, device_mib: the
    peaks of this attempt until now, in RAM that only its worker holds, and on the GPU. lr: the
    learning rate of the epoch's last step, as `optim.lr` times the schedule (parameter groups have
    their own multiples); None where it was not reported. data_wait: share of the epoch's training
    that waited for batches. gpu_utilization, gpu_memory_mib: of the epoch, of the whole GPU; None
    where they are not measured.
    """

    attempt: int
    step: int
    metrics: Mapping[str, float]
    seconds: float
    memory_mib: float = 0.0
    device_mib: float = 0.0
    lr: float | None = None
    data_wait: float | None = None
    gpu_utilization: float | None = None
    gpu_memory_mib: float | None = None

    @property
    def usage(self) -> dict[str, float]:
        """What the epoch used of its machine, as far as it is measured, by name."""
        found = {name: getattr(self, name) for name in USAGE}
        return {name: value for name, value in found.items() if value is not None}


USAGE = ("data_wait", "gpu_utilization", "gpu_memory_mib")
"""Names of what a report may say on the use of its machine."""


class Goal(NamedTuple):
    """A metric that a study optimises, and its direction."""

    metric: str
    direction: Direction

    @property
    def sign(self) -> float:
        """1 when more is better, else -1."""
        return 1.0 if self.direction == "max" else -1.0


@dataclass(frozen=True)
class Outcome:
    """How an attempt at a run ended; `metrics` are those of `best_step`.

    interval: the 95 % interval of the first goal over the validation set, where the task knows it.
    costs: some of `COSTS`. memory_mib, device_mib: the peaks of the attempt, in RAM that only its
    worker holds, and on the GPU. idle_mib: RAM that the worker held before it. notes: caveats of
    its figures. attributes: what else the run says of itself, as JSON holds it.
    """

    state: OutcomeState
    attempt: int
    cause: Cause = ""
    reason: str = ""
    best_step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    interval: tuple[float, float] | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    memory_mib: float = 0.0
    device_mib: float = 0.0
    idle_mib: float = 0.0
    notes: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def all_metrics(self) -> Mapping[str, float]:
        """Everything that a goal or a constraint may name."""
        spent = {
            "seconds": self.seconds,
            "memory_mib": self.memory_mib,
            "device_mib": self.device_mib,
        }
        costs = {**{name: value for name, value in spent.items() if value}, **self.costs}
        return {**self.metrics, **{k: v for k, v in costs.items() if k not in self.metrics}}


def speaks_of_memory(text: str) -> bool:
    """Return whether a message reports a failed allocation of torch, CUDA or the C library."""
    text = text.lower()
    return any(phrase in text for phrase in NO_MEMORY)


@dataclass(frozen=True)
class EndRequest:
    """The coordinator's request to a running attempt: pause, prune or cancel.

    after: the step that the attempt reports first; 0 for a request that holds at once.
    """

    kind: Literal["pause", "prune", "cancel"]
    attempt: int
    reason: str = ""
    after: int = 0


@dataclass(frozen=True)
class Trial:
    """A trial as the analysis sees it: parameters by config path, its curve by epoch.

    score: of the first goal; with several seeds, their mean. others: the scores of the other goals,
    by metric. metrics: what else its runs reported, beside goals and costs. interval: 95 %, of the
    score. seeds: the score by seed, when there are several.
    constraints: the violation of each; all are met when all are 0 or less. imported_from:
    `STUDY/17` for one that ran in another study, and has no folder in this one. good: the name of
    the good combination that it tries. avoided: the `avoid` rules that it matches. note: what
    somebody wrote about it. started: seconds since 1970; None where it is not known. attributes:
    what it says of itself besides numbers. audited: the step at which it would have been pruned,
    had it not run on to audit the pruner. rung: where it waits, or was left when the search ended,
    as `at 3 of 52`; empty for one that no search by curves has paused, or that went on. spans: of
    one that was paused, when it had a worker: start, as `started`, and seconds.
    """

    number: int
    state: TrialState
    parameters: Mapping[str, object]
    score: float | None
    curve: Mapping[int, float]
    cause: Cause = ""
    reason: str = ""
    seconds: float | None = None
    others: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    seeds: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    imported_from: str = ""
    good: str = ""
    avoided: tuple[str, ...] = ()
    note: str = ""
    started: float | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    audited: int | None = None
    rung: str = ""
    spans: tuple[tuple[float, float], ...] = ()

    @property
    def worked(self) -> tuple[tuple[float, float], ...]:
        """When it had a worker: start, as `started`, and seconds; empty where not known."""
        if self.spans or self.started is None or not self.seconds:
            return self.spans
        return ((self.started, self.seconds),)

    @property
    def ended_at(self) -> float | None:
        """Seconds since 1970 when it last had a worker; None where that is not known."""
        if self.spans:
            return sum(self.spans[-1])
        return None if self.started is None or self.seconds is None else self.started + self.seconds

    @property
    def has_ended(self) -> bool:
        """Whether it neither runs nor waits."""
        return self.state not in OPEN


@dataclass(frozen=True)
class StudyRecord:
    """A study as plain values: the input of `analyze` and the summary files.

    goal, direction: of the first goal, which prunes and picks the winner; others: the rest.
    replicated: the trial that replicates chose, where there are any.
    """

    name: str
    recipe: str
    goal: str
    direction: Direction
    trials: tuple[Trial, ...]
    others: tuple[Goal, ...] = ()
    replicated: int | None = None

    @property
    def goals(self) -> tuple[Goal, ...]:
        """All goals, the first one first."""
        return (Goal(self.goal, self.direction), *self.others)

    @property
    def is_of_function(self) -> bool:
        """Whether it tunes a Python function, which no command trains and only Python resumes."""
        return self.recipe == "function"

    @property
    def own(self) -> tuple[Trial, ...]:
        """The trials that this study ran itself, which its total counts."""
        return tuple(trial for trial in self.trials if not trial.imported_from)

    def of_state(self, *states: TrialState) -> list[Trial]:
        """Return the trials in one of `states`, by number."""
        return [trial for trial in self.trials if trial.state in states]

    def front(self) -> list[Trial]:
        """Return the finished trials on the Pareto front, best first goal first.

        With one goal, the best trial alone.
        """
        front: list[Trial] = []
        beaten_by: list[tuple[int, ...]] = []
        for own, trial in self._rank():
            if not any(all(a <= b for a, b in zip(o, own, strict=True)) for o in beaten_by):
                front.append(trial)
                beaten_by.append(own)
        return front

    def rank_trials(self) -> list[Trial]:
        """Return finished trials with a score, best first; of equal ones the earlier first.

        With several goals, the front comes first; both parts are in order of the first goal.
        """
        front = {trial.number for trial in self.front()}
        by_first_goal = [trial for _, trial in self._rank()]
        return sorted(by_first_goal, key=lambda trial: trial.number not in front)

    @property
    def best(self) -> Trial | None:
        """The finished trial with the best score, if any finished; of equal ones the first."""
        return next((trial for _, trial in self._rank()), None)

    @property
    def winner(self) -> Trial | None:
        """The trial that replicates chose, else the one with the best score."""
        if self.replicated is None:
            return self.best
        found = (trial for trial in self.trials if trial.number == self.replicated)
        return next(found, self.best)

    def _rank(self) -> list[tuple[tuple[int, ...], Trial]]:
        """Return the finished trials with their ranks by goal, in order of the first goal."""
        scored = [trial for trial in self.of_state("done") if trial.score is not None]
        placed = rank_with_ties([losses(trial, self.goals) for trial in scored])
        return sorted(zip(placed, scored, strict=True), key=lambda one: (one[0], one[1].number))


def is_same(one: float, other: float) -> bool:
    """Return whether two scores are equal up to rounding."""
    return math.isclose(one, other, rel_tol=ROUNDING)


def rank_with_ties(rows: Sequence[Sequence[float]]) -> list[tuple[int, ...]]:
    """Return, for each row, its rank in every column, 0 for the least; ties are up to rounding.

    Ranks can be compared and sorted, which numbers that are only nearly equal cannot.
    """
    columns = [_rank_column(column) for column in zip(*rows, strict=True)]
    return list(zip(*columns, strict=True))


def _rank_column(column: Sequence[float]) -> list[int]:
    """Rank one column; numbers within rounding of the least number of a rank share it."""
    place: dict[float, int] = {}
    least, count = math.nan, -1
    for value in sorted(set(column)):
        if not is_same(least, value):
            least, count = value, count + 1
        place[value] = count
    return [place[value] for value in column]


def losses(trial: Trial, goals: Sequence[Goal]) -> tuple[float, ...]:
    """Return the scores of a finished trial, signs turned so that less is better."""
    first, *others = goals
    scores = [trial.score, *(trial.others.get(goal.metric) for goal in others)]
    return tuple(
        math.inf if score is None else -goal.sign * score
        for goal, score in zip((first, *others), scores, strict=True)
    )
