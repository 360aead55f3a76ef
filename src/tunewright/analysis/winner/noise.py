"""How much the score of one replicate varies: with its seed, and between arms at one seed."""

from dataclasses import dataclass

import numpy as np

from tunewright.analysis.winner.replicates import Floats

TINY = 1e-12
"""The least standard deviation of a replicate, relative to the scores: rounding."""
PRIOR_DEGREES = 4.0
"""Degrees of freedom with which the variance of all arms counts for a single one; after Smyth 2004,
who estimates it from thousands of variances."""


@dataclass(frozen=True)
class ReplicateNoise:
    """Variances of one replicate in the model: arm + seed + residual.

    means: of the arms over all seeds, those that an arm lacks filled in by the model. seed: the
    variance of what all arms share at a seed, such as an easier split. residual: of what is left,
    with `degrees` of freedom. own: the residual of each arm [arms], moved towards that of all arms.
    seeds: how many seeds there
    are. arms_per_seed: arms that ran with a seed, on average.
    """

    means: Floats
    seed: float
    residual: float
    degrees: int
    own: Floats
    seeds: int
    arms_per_seed: float

    def degrees_of_mean(self) -> float:
        """Return the degrees of freedom of the variance of an arm's mean.

        The mean squares of seeds and residuals are combined as Satterthwaite 1946 does.
        """
        k = self.arms_per_seed
        if k <= 1.0 or self.residual <= 0.0:
            return float(max(1, self.degrees))
        parts = (self.seed + self.residual / k, (k - 1.0) / k * self.residual)
        below = parts[0] ** 2 / (self.seeds - 1) + parts[1] ** 2 / self.degrees
        return sum(parts) ** 2 / below


def student_quantile(degrees: float, level: float) -> float:
    """Return the quantile of Student's t."""
    from scipy.special import stdtrit  # 0.3 s to import, and only here

    return float(stdtrit(degrees, level))


def estimate_noise(scores: Floats) -> ReplicateNoise | None:
    """Return the noise of scores [arms, seeds] with gaps (NaN); None where nothing repeats."""
    known = ~np.isnan(scores)
    arms, seeds = np.nonzero(known)
    values = scores[known]
    count, width = scores.shape
    if width < 2 or not len(values):
        return None
    # Seeds sum to zero, so that an arm's coefficient is its mean over all seeds.
    of_seed = np.eye(width)[seeds][:, :-1] - (seeds == width - 1)[:, None]
    design = np.concatenate([np.eye(count)[arms], of_seed], axis=1)
    fitted = np.linalg.lstsq(design, values, rcond=None)[0]
    degrees = len(values) - int(np.linalg.matrix_rank(design))
    runs = known.sum(axis=1)
    repeated = runs > 1
    if not repeated.any():
        return None
    means = np.where(known, scores, 0.0).sum(axis=1) / np.maximum(runs, 1)
    squares = np.where(known, scores - means[:, None], 0.0) ** 2
    whole = float(squares[repeated].sum() / (runs[repeated] - 1).sum())
    floor = max((TINY * float(np.abs(values).max())) ** 2, TINY**4)
    if degrees < 1:  # one arm: the seed's share cannot be told from the rest
        whole = max(floor, whole)
        own = _moderate(squares.sum(axis=1), runs - 1.0, whole)
        return ReplicateNoise(means, 0.0, whole, int((runs[repeated] - 1).sum()), own, width, 1.0)
    rest = np.zeros_like(scores)
    rest[known] = values - design @ fitted
    residual = max(floor, float((rest**2).sum() / degrees))
    share = degrees / max(1, int((runs[repeated] - 1).sum()))  # of an arm's own residual degrees
    own = _moderate((rest**2).sum(axis=1), (runs - 1.0) * share, residual)
    per_seed = len(values) / width
    return ReplicateNoise(
        fitted[:count], max(0.0, whole - residual), residual, degrees, own, width, per_seed
    )


def _moderate(squares: Floats, degrees: Floats, pooled: float) -> Floats:
    found: Floats = (PRIOR_DEGREES * pooled + squares) / (PRIOR_DEGREES + np.maximum(degrees, 0.0))
    return found
