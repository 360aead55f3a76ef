"""The parameters of a search, and the runs of its trials."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.config.schema import ExecutorConfig as ExecutorConfig
from tunewright.config.tree import Tree
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import Goal
from tunewright.search.forecast.budget import Budget
from tunewright.search.forecast.time_left import NO_FINAL_STAGE, FinalStageCost
from tunewright.search.loop.run_loop import Run
from tunewright.search.study.constraints import Constraint
from tunewright.search.study.stopping_rules import Pruner


@dataclass(frozen=True)
class Search:
    """The parameters of a search besides its study.

    configure: returns the complete configuration tree of a trial from its values. seeds: of the
    runs of each trial; the first is the one that `configure` sets. last_step: epochs of the stage.
    total: trials in the study when it is finished, earlier sessions included. closing: the cost of
    the final stage. budget: of the whole call. patience, max_failures, target: see `early_end`.
    audit_pruning: the share of the trials that run on although they would be pruned. paused_gib:
    quota of the states of paused trials; see `paused_states`. keep_weights,
    keep_predictions_mib: what the best trials keep.
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
    target: float | None = None
    audit_pruning: float = 0.0
    paused_gib: float | None = None
    keep_weights: int = 1
    keep_predictions_mib: float = 0.0

    def runs(self, number: int, values: Mapping[str, Any]) -> list["TrialRun"]:
        """Return all runs of a trial, the first one first."""
        first, *others = self.seeds
        folder, name, values = self.folder.trial(number), f"trial {number}", dict(values)
        return [
            TrialRun(folder, name, values, number, first, True),
            *(
                TrialRun(folder.by_seed(seed), f"{name}, seed {seed}", values, number, seed, False)
                for seed in others
            ),
        ]

    def audits(self, number: int) -> bool:
        """Return whether a trial runs on instead of being pruned; the same after a resume."""
        return random.Random(f"{self.seeds[0]}/{number}").random() < self.audit_pruning

    @property
    def metric(self) -> str:
        """The metric of the first goal, which the pruner uses."""
        return self.goals[0].metric


@dataclass(frozen=True)
class TrialRun(Run):
    """One run of a trial; a trial has one run per seed of the search.

    first: whether it is the run that the pruner watches and that the other seeds wait for.
    """

    number: int
    seed: int
    first: bool
