"""Tests and bounds that the findings share."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
ALPHA = 0.05
"""Chance of a false alarm that a finding may have, over all of its tests together."""


def holm(chances: Sequence[float]) -> list[float]:
    """Return p-values that hold together for all tests. Source: Holm 1979."""
    adjusted, worst = [1.0] * len(chances), 0.0
    for place, index in enumerate(np.argsort(chances, kind="stable")):
        worst = max(worst, min(1.0, (len(chances) - place) * chances[index]))
        adjusted[index] = worst
    return adjusted


def mean_ranks(values: Floats) -> Floats:
    """Return the ranks from 1 of values [count]; equal ones share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: Floats = ends - (counts - 1) / 2.0
    return middle[inverse.reshape(-1)]


def normal_scores(values: Floats) -> Floats:
    """Return the normal quantiles of the ranks of values [count]. Source: van der Waerden 1952."""
    from scipy.special import ndtri

    scores: Floats = ndtri((mean_ranks(values) - 0.5) / len(values))
    return scores


def upper_tail(statistic: float, degrees: float) -> float:
    """Return the chance that Student's t exceeds a statistic."""
    from scipy.special import stdtr

    return float(stdtr(degrees, -statistic)) if degrees > 0 else 1.0


def student_quantile(level: float, degrees: float) -> float:
    """Return the quantile of Student's t at a level."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, level))


def rank_correlation(one: Floats, other: Floats) -> float:
    """Return Spearman's correlation; 0 where either does not vary."""
    a, b = mean_ranks(one), mean_ranks(other)
    a, b = a - a.mean(), b - b.mean()
    length = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / length if length > 0 else 0.0


def correlation_upper(correlation: float, count: int) -> float:
    """Return the one-sided upper 95 % bound of a correlation of `count` pairs, by Fisher's z."""
    if count < 4:
        return 1.0
    z = math.atanh(max(-0.999999, min(0.999999, correlation)))
    return math.tanh(z + 1.645 / math.sqrt(count - 3))


def stratified_wilcoxon(values: Floats, marked: Mask, blocks: int = 4) -> tuple[float, float]:
    """Compare the values of marked cases with the others within blocks of neighbours in order.

    Returns (z, p two-sided). A sampler that learns shifts values and marks over time; comparisons
    within blocks are blind to that. Source: van Elteren 1960.
    """
    total = variance = 0.0
    for part in np.array_split(np.arange(len(values)), blocks):
        count, cases = len(part), int(marked[part].sum())
        if not 0 < cases < count:
            continue
        ranks = mean_ranks(values[part])
        weight = 1.0 / (count + 1)
        total += weight * float(ranks[marked[part]].sum() - cases * (count + 1) / 2.0)
        # The variance of ranks with ties, in place of (count + 1) count / 12.
        spread = float(((ranks - ranks.mean()) ** 2).sum()) / (count - 1)
        variance += weight**2 * cases * (count - cases) / count * spread
    if variance <= 0:
        return 0.0, 1.0
    z = total / math.sqrt(variance)
    return z, math.erfc(abs(z) / math.sqrt(2.0))


def noncentrality_upper(statistic: float, first: int, second: int) -> float:
    """Return the upper 95 % bound of the noncentrality behind an F statistic."""
    return noncentrality_bound(statistic, first, second, ALPHA)


def noncentrality_bound(statistic: float, first: int, second: int, chance: float) -> float:
    """Return the noncentrality for which at most this F statistic has a chance; 0 where none has.

    chance: 0.05 for an upper 95 % bound, 0.025 and 0.975 for the ends of an interval. Source:
    Steiger 2004.
    """
    from scipy.special import fdtr, ncfdtr

    if fdtr(first, second, statistic) <= chance:
        return 0.0
    low, high = 0.0, 10.0
    while ncfdtr(first, second, high, statistic) > chance and high < 1e6:
        high *= 2.0
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (
            (middle, high) if ncfdtr(first, second, middle, statistic) > chance else (low, middle)
        )
    return high


def p_text(chance: float) -> str:
    """Return a p-value as it is written."""
    return "p < 0.001" if chance < 0.001 else f"p = {chance:.2g}"
