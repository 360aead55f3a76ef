"""`--budget 8h`: end the whole job in time, with a winner trained in full if that fits.

The search gives way: it stops while the final training and the evaluation, as predicted, still fit.
Running trials are paused, and the next call resumes them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tunewright.config.schema import ExecutorConfig
from tunewright.errors import RunError
from tunewright.runs.quantities import duration
from tunewright.search.callbacks import StudyCallback
from tunewright.search.forecast.timings import Timings
from tunewright.search.signals import Interrupted

Result = TypeVar("Result")

MARGIN = 0.1
"""Share of each prediction kept in reserve."""
TURN_SECONDS = 1.0
"""Seconds from the end of the search to the start of the final training."""
CLOSING_SECONDS = 1.0
"""Seconds for ending workers and writing files."""


@dataclass
class Budget:
    """A time limit in seconds for one call that began at `began`, by the clock.

    final_fits: whether the final training has ever fitted behind the first finished trial.
    predicted: seconds that it and the evaluation take, as far as the search could tell. pause:
    seconds that a training needs to save itself. replicates_fit: whether the replicates of the best
    trials have ever fitted before that.
    """

    seconds: float
    began: float
    clock: Callable[[], float] = time.monotonic
    final_fits: bool = False
    predicted: float | None = None
    pause: float = 0.0
    replicates_fit: bool = False

    @property
    def seconds_left(self) -> float:
        """Seconds until the end."""
        return self.began + self.seconds - self.clock()

    @property
    def until(self) -> float:
        """The time by which work must end, so that files can still be written (monotonic clock)."""
        return self.began + self.seconds - CLOSING_SECONDS

    def fits(self, seconds: float) -> bool:
        """Return whether something predicted to take `seconds` ends in time."""
        return seconds * (1.0 + MARGIN) + TURN_SECONDS + CLOSING_SECONDS <= self.seconds_left

    def ends_search(self, timings: Timings, best: int | None, executor: ExecutorConfig) -> bool:
        """Return whether the search has to stop now.

        best: the best trial so far. Without one there is nothing to train in full and the search
        goes on until the time is up, as it does when the final training never fitted.
        """
        pace = timings.pace()
        self.pause = timings.pause_seconds(executor.grace_seconds)
        if pace is not None and timings.closing.steps:
            self.predicted = timings.closing_seconds(pace, best)
        if self.seconds_left <= self.pause + CLOSING_SECONDS:
            return True
        if best is None or pace is None:
            return False
        replicates = min(
            timings.replicate_seconds(pace, so_far=True),
            timings.closing.replicate * self.seconds,
        )
        if replicates:
            fits = self.fits(self.pause + replicates + (self.predicted or 0.0))
            self.replicates_fit = self.replicates_fit or fits
            if self.replicates_fit:
                return not fits
        if self.predicted is None:
            return False
        fits = self.fits(self.pause + self.predicted)
        self.final_fits = self.final_fits or fits
        return self.final_fits and not fits

    def replicate_until(self, share: float) -> float:
        """Return the time by which replicates must end: their share, and the rest of the job."""
        rest = self.until - self.pause - (self.predicted or 0.0) * (1.0 + MARGIN)
        return min(self.clock() + share * self.seconds, rest - TURN_SECONDS)

    def allows(self, watch: StudyCallback) -> bool:
        """Return whether the final training may begin; print a notice if it does not fit."""
        if self.predicted is None or self.predicted <= self.seconds_left:
            return True
        watch.notice(
            "the final training and the evaluation are predicted to take "
            f"{duration(self.predicted)}, but {duration(max(0.0, self.seconds_left))} of "
            "the budget are left: the result is the best trial's own weights and "
            "best_config.yaml; run the same command with more time to train it in full"
        )
        return False


def train_within_budget(
    budget: Budget | None, watch: StudyCallback, train: Callable[[float | None], Result | None]
) -> Result | None:
    """Call `train` with the time to stop; notify and return None when the budget stopped it."""
    if budget is None:
        return train(None)
    until = budget.until - budget.pause
    try:
        return train(until)
    except Interrupted:
        if budget.clock() < until:
            raise  # a signal, not the budget
        watch.notice(
            "the final training was paused at the end of the budget: run the same command "
            "again to resume it; until then the best trial's own weights are the result"
        )
        return None


def evaluate_within_budget(
    budget: Budget | None, watch: StudyCallback, evaluate: Callable[[float | None], Result | None]
) -> Result | None:
    """Call `evaluate` with its time limit; notify and return None when there is no time for it."""
    if budget is None:
        return evaluate(None)
    seconds = budget.seconds_left - CLOSING_SECONDS
    if seconds > 0.0:
        try:
            return evaluate(seconds)
        except RunError:
            if budget.seconds_left > 2.0 * CLOSING_SECONDS:
                raise
    watch.notice("no time left in the budget for the evaluation: run tunewright evaluate")
    return None
