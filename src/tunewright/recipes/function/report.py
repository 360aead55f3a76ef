"""What a function calls to say how far it is, and through which it is stopped."""

from collections.abc import Mapping
from operator import index
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, SupportsFloat

from tunewright.runs.record import Outcome, OutcomeState
from tunewright.training.goal import score_of

if TYPE_CHECKING:
    from tunewright.training.reporter import Reporter

_ENDS: Mapping[str, OutcomeState] = {"pause": "paused", "prune": "pruned", "cancel": "failed"}


class Stopped(BaseException):
    """Ends the function at a report; no Exception, which the function may catch for itself."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.state)
        self.outcome = outcome


class Report:
    """Handed to the function: `report(step, value=0.3)`.

    step: of the last report, None before the first.
    """

    def __init__(self, reporter: "Reporter", *, goal: str, last_step: int) -> None:
        self.step: int | None = None
        self._reporter, self._goal, self._last_step = reporter, goal, last_step
        self._begun = False
        self._started = perf_counter()

    def __call__(
        self,
        step: int,
        value: SupportsFloat | None = None,
        metrics: Mapping[str, SupportsFloat] | None = None,
    ) -> None:
        """Report the goal after `step` steps, and whatever else was measured.

        value: the metric called `value`. Does not return when the trial is pruned or paused.
        Raises Diverged for a goal that is not finite, ConfigError when the goal is not among
        the metrics.
        """
        step = index(step)  # of any library
        values = {name: number(metric) for name, metric in (metrics or {}).items()}
        if value is not None:
            values["value"] = number(value)
        self.begin(step - 1)
        self.step = step
        self._reporter.report(step, values, self.seconds)
        score_of(values, self._goal, when=f"at step {step}")
        request = self._reporter.request()
        if request is not None and request.kind == "prune" and step >= self._last_step:
            return  # asked too late: there is nothing left to save
        if request is not None:
            raise Stopped(
                Outcome(
                    _ENDS[request.kind],
                    self._reporter.attempt,
                    "interrupted" if request.kind == "cancel" else "",
                    request.reason,
                    step,
                    values,
                    self.seconds,
                )
            )

    @property
    def seconds(self) -> float:
        """Since the function was called."""
        return perf_counter() - self._started

    @property
    def folder(self) -> Path:
        """Where the function may keep its state: it is there again after a pause or a kill.

        Goes when the trial has ended, unless it is the best one.
        """
        folder = self._reporter.folder.checkpoints
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def begin(self, resumed_from: int) -> None:
        """Say once where this attempt starts: what was reported beyond is reported again."""
        if not self._begun:
            self._begun = True
            self._reporter.begin(max(0, resumed_from))


def number(value: object) -> float:
    """A number of any library as a float; TypeError for what is none."""
    if isinstance(value, SupportsFloat):
        return float(value)
    raise TypeError(f"{value!r} is not a number")
