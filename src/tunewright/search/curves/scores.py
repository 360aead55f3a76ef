"""The scale on which scores are modelled: good ones far apart, bad ones close together."""

from collections.abc import Sequence

import numpy as np

from tunewright.search.curves.model import Array


class ScoreScale:
    """Maps scores, of which more is better, by one increasing function.

    A score is measured in distances of the best from the median; below one such distance from the
    median it grows by its logarithm alone, so that scores of diverged trainings do not decide the
    scale.

    scores: all that were seen, at all steps. worst: the mapped score of the worst of them.
    """

    def __init__(self, scores: Sequence[float]) -> None:
        finite = np.array([s for s in scores if np.isfinite(s)])
        self._median = float(np.median(finite)) if len(finite) else 0.0
        best = float(finite.max()) if len(finite) else 0.0
        self._width = best - self._median if best > self._median else 1.0
        self.worst = self.place(float(finite.min())) if len(finite) else -1.0

    def place(self, score: float) -> float:
        """Return a score on the scale; one that is no number counts as the worst."""
        z = (score / self._width) - (self._median / self._width)
        if not np.isfinite(z):
            return self.worst
        return z if z >= -1.0 else -1.0 - float(np.log1p(-1.0 - z))


def standardise(mapped: Array) -> Array:
    """Return mapped scores with mean 0 and deviation 1; all 0 where they are constant."""
    deviation = float(mapped.std())
    found: Array = (mapped - mapped.mean()) / (deviation if deviation > 1e-12 else 1.0)
    return found
