"""The epoch at which `training.patience` will probably end a training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

FEWEST = 3
"""Trainings that have ended, from which the length of the next one is estimated.

Twenty foresee it better by 1 to 2.4 % of the full length, a single one worse by 3 to 5 %
(`benchmarks/early_stopping.py`).
"""
STALLED = 0.4
"""Share of the patience after which no further gain is expected.

On published curves, with a patience of 3, 5 or 10, a stall of 0.4 tells the end rightly more often
than not (51 to 91 %), one of 0.3 does not; the errors are within 1 % of the full length of the
smallest (`benchmarks/early_stopping.py`).
"""


def usual_share(steps: Sequence[int], last_step: int) -> float | None:
    """Return the mean length of trainings that were not stopped from outside.

    steps: epochs that each has trained, of `last_step`. Returns a share of the full length; None
    for fewer than `FEWEST` of them.
    """
    if len(steps) < FEWEST or last_step < 1:
        return None
    return min(1.0, sum(steps) / len(steps) / last_step)


@dataclass(frozen=True)
class TrainingLength:
    """What decides how long a training is, as its configuration says.

    min_delta: what counts as a gain of `metric`. usual: the share of the epochs that trainings of
    this kind took, as far as known.
    """

    epochs: int
    patience: int | None = None
    min_delta: float = 0.0
    metric: str = ""
    direction: Literal["max", "min"] = "max"
    usual: float | None = None


@dataclass
class EarlyStopping:
    """The gains of a running training, from which its end is estimated."""

    length: TrainingLength
    _best: float | None = field(default=None, init=False)
    _best_epoch: int = field(default=0, init=False)
    _epoch: int = field(default=0, init=False)

    def record(self, epoch: int, score: float | None) -> None:
        """Record the score of an epoch; None or NaN for an epoch without one."""
        sign = 1.0 if self.length.direction == "max" else -1.0
        self._epoch = epoch
        if score is None or score != score:
            return
        if self._best is None or sign * (score - self._best) > self.length.min_delta:
            self._best, self._best_epoch = score, epoch

    @property
    def likely_end(self) -> int | None:
        """The last epoch that will probably be trained; None where nothing tells.

        It is `patience` epochs after the last gain at the earliest. That no further gain comes is
        assumed once `STALLED` of the patience is used up; before, trainings of this kind tell.
        """
        epochs, patience = self.length.epochs, self.length.patience
        if patience is None:
            return epochs
        soonest = self._best_epoch + patience
        if soonest >= epochs:
            return epochs
        if self._best_epoch and self._epoch - self._best_epoch >= STALLED * patience:
            return max(self._epoch, soonest)
        if self.length.usual is None:
            return None
        return min(epochs, max(soonest, round(self.length.usual * epochs)))
