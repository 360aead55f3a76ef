"""Run a function that reads `wandb.config` and calls `wandb.log`, as `wandb.agent` runs one."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tunewright.config.tree import copy_tree
from tunewright.errors import ConfigError, did_you_mean
from tunewright.recipes.direction import direction_of
from tunewright.recipes.function.call import finish, is_optunas_prune
from tunewright.recipes.function.config import FunctionConfig
from tunewright.recipes.function.report import Report, StopFunction, number
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Goal, Outcome
from tunewright.stand_ins import wandb as stand_in
from tunewright.stand_ins.wandb._session import Session

if TYPE_CHECKING:
    from tunewright.training.reporter import Reporter

WandbFunction = Callable[[], Any]
"""Called without arguments; reads `wandb.config`, and logs its goal."""


@dataclass(frozen=True)
class CallWandbFunction:
    """The run of such a function, in place of a training; picklable if the function is.

    The score is the best goal that it logs, as W&B's own sweeps take it, or what it returns.
    """

    function: WandbFunction

    def __call__(self, folder: RunFolder, config: FunctionConfig, reporter: "Reporter") -> Outcome:
        """Call the function once; its exceptions pass through."""
        goals = [_read_goal(written) for written in config.goals]
        report = Report(reporter, goal=goals[0].metric, last_step=config.training.epochs)
        session = LoggingSession(folder, copy_tree(config.params), goals[0], report)
        try:
            with _in_place_of_wandb(session):
                returned = self.function()
                stand_in.finish()
        except StopFunction as stopped:
            return stopped.outcome
        except Exception as error:
            if not is_optunas_prune(error):
                raise
            return report.pruned(" ".join(f"the function raised TrialPruned: {error}".split()))
        names = [goal.metric for goal in goals]
        outcome = finish(report, reporter.attempt, session.result(returned, names), names)
        if session.best_step is None:
            return outcome
        return replace(outcome, best_step=session.best_step)


class LoggingSession(Session):
    """Takes what a function logs, and reports each step that has the goal.

    best_step: the step of the best goal; None before the first.
    """

    def __init__(
        self, folder: RunFolder, params: Mapping[str, Any], goal: Goal, report: Report
    ) -> None:
        super().__init__(params)
        self._folder, self._goal, self._report = folder, goal, report
        self._step: int | None = None
        self._open: dict[str, float] = {}  # of the present step
        self._passed = False
        self._latest: dict[str, float] = {}
        self._best: dict[str, float] = {}
        self._whole: dict[str, float] = {}
        self.best_step: int | None = None

    def report(self, step: int, metrics: dict[str, float]) -> None:
        """Take metrics of a step; those of several calls come together."""
        if step != self._step:
            self._step, self._open, self._passed = step, {}, False
        self._open |= metrics
        self._latest |= metrics
        goal = self._goal.metric
        if goal not in self._open:
            return
        if not self._best or self._goal.sign * (self._open[goal] - self._best[goal]) > 0:
            self._best, self.best_step = dict(self._open), step
        if not self._passed:
            self._passed = True
            self._report(step, metrics=dict(self._open))

    def summarise(self, metrics: dict[str, float]) -> None:
        """Take metrics of the whole run."""
        self._whole |= metrics

    def folder(self) -> str:
        """Return the folder of the run's own state."""
        return str(self._report.folder)

    def name(self) -> str:
        """Return the name of the trial."""
        return f"trial-{self._folder.path.name}"

    def result(self, returned: Any, goals: list[str]) -> dict[str, Any]:
        """Return the metrics of the run, those that the function returned first.

        Raises ConfigError, with the names that were logged, where a goal is not among them.
        """
        metrics: dict[str, Any] = {**self._latest, **self._whole, **self._best}
        goal = self._goal.metric
        if goal in self._whole and self._best:  # a summary counts if it is better
            sign = self._goal.sign
            metrics[goal] = sign * max(sign * self._whole[goal], sign * self._best[goal])
        if isinstance(returned, Mapping):
            metrics |= {str(name): value for name, value in returned.items()}
        elif returned is not None:
            with suppress(TypeError):  # such as a model, which wandb.agent forgets as well
                metrics[goal] = number(returned)
        if missing := [name for name in goals if name not in metrics]:
            raise ConfigError(
                f"the function never logged {', '.join(missing)}",
                expected=f"wandb.log({{{missing[0]!r}: ...}}); it logged "
                f"{', '.join(metrics) or 'nothing'}",
                remedy=did_you_mean(missing[0], metrics),
            )
        return metrics


def _read_goal(written: str) -> Goal:
    name, _, direction = written.partition(":")
    return Goal(name, "min" if (direction or direction_of(name)) == "min" else "max")


@contextmanager
def _in_place_of_wandb(session: Session) -> Iterator[None]:
    """Let `wandb` be the stand-in: the module, or the names of a real one that is imported."""
    real = sys.modules.get("wandb")
    names = (*stand_in.CALLS, *stand_in.VALUES, *stand_in.FORGOTTEN)
    if real is None or real is stand_in:
        sys.modules["wandb"] = stand_in
        before: dict[str, Any] = {}
        stand_in.use(session)
    else:
        before = {name: vars(real)[name] for name in names if name in vars(real)}
        for name in (*stand_in.CALLS, *stand_in.FORGOTTEN):
            setattr(real, name, getattr(stand_in, name))
        stand_in.use(session, [real])
    try:
        yield
    finally:
        stand_in.use(None)
        if real is None:
            sys.modules.pop("wandb", None)
        elif real is not stand_in:
            for name in names:
                if name in before:
                    setattr(real, name, before[name])
                else:
                    vars(real).pop(name, None)
