"""The parameters of a search, and the runs of its trials."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.config.schema import ExecutorConfig as ExecutorConfig
from tunewright.config.tree import Tree
from tunewright.executors.executor import Handle
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import ProgressTail
from tunewright.runs.record import Goal
from tunewright.search.forecast.budget import Budget
from tunewright.search.forecast.time_left import NO_FINAL_STAGE, FinalStageCost
from tunewright.search.study.constraints import Constraint
from tunewright.search.study.pruners import Pruner


@dataclass(frozen=True)
class Search:
    """The parameters of a search besides its study.

    configure: returns the complete configuration tree of a trial from its values. seeds: of the
    runs of each trial; the first is the one that `configure` sets. last_step: epochs of the stage.
    total: trials in the study when it is finished, earlier sessions included. closing: the cost of
    the final stage. budget: of the whole call. patience, max_failures: see `early_end`.
    """

    folder: StudyFolder
    goals: Sequence[Goal]
    constraints: Sequence[Constraint]
    configure: Callable[[Mapping[str, Any]], Tree]
    seeds: Sequence[int]
    last_step: int
    total: int
    pruner: Pruner
    executor: ExecutorConfig
    timeout: float | None = None
    stage: str = "explore"
    closing: FinalStageCost = NO_FINAL_STAGE
    budget: Budget | None = None
    patience: int | None = None
    max_failures: int | None = None

    def runs(self, number: int, values: Mapping[str, Any]) -> list["Run"]:
        """Return all runs of a trial, the first one first."""
        first, *others = self.seeds
        folder = self.folder.trial(number)
        return [
            Run(number, first, dict(values), folder, True),
            *(Run(number, seed, dict(values), folder.by_seed(seed), False) for seed in others),
        ]

    @property
    def metric(self) -> str:
        """The metric of the first goal, which the pruner uses."""
        return self.goals[0].metric


@dataclass(frozen=True)
class Run:
    """One run of a trial; a trial has one run per seed of the search.

    first: whether it is the run that the pruner watches and that the other seeds wait for.
    """

    number: int
    seed: int
    values: Mapping[str, Any]
    folder: RunFolder
    first: bool

    @property
    def name(self) -> str:
        """The name of the run in notices."""
        return f"trial {self.number}" + ("" if self.first else f", seed {self.seed}")


@dataclass
class Live:
    """A run that an executor is working on.

    judged: the last step at which the pruner was asked about it.
    """

    run: Run
    handle: Handle
    tail: ProgressTail
    attempt: int
    deadline: float | None
    judged: int
