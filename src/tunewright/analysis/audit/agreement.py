"""How well cheap scores rank configurations: Kendall's tau, recall of the best, regret."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from tunewright.analysis.score_intervals import LEVEL, RESAMPLES, percentiles

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
FEWEST = 4
"""Configurations below which nothing is measured."""
TOP_SHARE = 0.25
FEWEST_IN_TOP = 4
"""Configurations in the top quartile below which tau is not measured there."""
MOST_AT_ONCE = 2**24
"""Elements of an array of all resamples that is held at once."""


@dataclass(frozen=True)
class IntervalEstimate:
    """A figure with its 95 % bootstrap interval; all are None where it cannot be measured."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Agreement:
    """How far a cheap ranking of configurations agrees with the full one.

    tau: Kendall's tau-b over all; top_tau: over the `top` configurations that are best in full.
    recall: the share of the `best` best in full that are among as many best cheap ones. regret: how
    much worse in full the cheap winner is than the best, in units of the goal; kept_regret: the
    same for the best in full of the `best` best cheap ones.
    """

    configurations: int
    tau: IntervalEstimate
    top: int
    top_tau: IntervalEstimate
    best: int
    recall: IntervalEstimate
    regret: IntervalEstimate
    kept_regret: IntervalEstimate


def measure_agreement(
    cheap: Sequence[float] | Floats,
    full: Sequence[float] | Floats,
    *,
    best: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Agreement | None:
    """Compare two scores of the same configurations, more is better; None for fewer than `FEWEST`.

    cheap: only its order counts. best: how many best ones the recall asks for; None for a quarter,
    five at most. Of equal scores the earlier counts as better, as in a study. Intervals are
    percentiles over resampled configurations, wider for few of them; see `_expanded_level`.
    Source: Kendall 1945 (tau-b); Efron and Tibshirani 1993, chapter 13.
    """
    first, last = np.asarray(cheap, np.float64), np.asarray(full, np.float64)
    count = len(first)
    if count < FEWEST:
        return None
    best = max(1, min(5, count // 4)) if best is None else max(1, min(best, count))
    top = max(FEWEST_IN_TOP, math.ceil(TOP_SHARE * count))
    drawn = np.random.default_rng(seed).integers(0, count, (resamples, count))
    every = np.arange(count)[None]
    measured = [_Sample(first, last, rows) for rows in (every, drawn)]
    return Agreement(
        count,
        _estimate([sample.tau() for sample in measured], count),
        top,
        _estimate([sample.top_tau(top) for sample in measured], top),
        best,
        _estimate([sample.recall(best) for sample in measured], count),
        _estimate([sample.regret(1) for sample in measured], count),
        _estimate([sample.regret(best) for sample in measured], count),
    )


def kendall_tau(one: Sequence[float] | Floats, other: Sequence[float] | Floats) -> float | None:
    """Return Kendall's tau-b of two scores, from -1 to 1; None where either is constant."""
    first, last = np.asarray(one, np.float64), np.asarray(other, np.float64)
    value = float(_Sample(first, last, np.arange(len(first))[None]).tau()[0])
    return None if math.isnan(value) else value


class _Sample:
    """Resamples of configurations, [resamples, configurations]; statistics are [resamples]."""

    def __init__(self, cheap: Floats, full: Floats, rows: Places) -> None:
        self._cheap, self._full, self._rows = cheap, full, rows
        # Places make scores distinct in a resample that holds a configuration twice.
        places = np.arange(rows.shape[1])
        self._by_cheap = np.argsort(-_ranks(cheap)[rows] * rows.shape[1] + places, axis=1)
        self._by_full = np.argsort(-_ranks(full)[rows] * rows.shape[1] + places, axis=1)

    def tau(self) -> Floats:
        """Return tau-b, weighted by how often each configuration was drawn."""
        count = len(self._cheap)
        one, other = _signs(self._cheap), _signs(self._full)
        often = np.zeros((len(self._rows), count))
        np.add.at(often, (np.arange(len(self._rows))[:, None], self._rows), 1.0)

        def weigh(pairs: Floats) -> Floats:
            found: Floats = np.einsum("bi,bi->b", often @ pairs, often)
            return found

        return _ratio(weigh(one * other), weigh(one * one), weigh(other * other))

    def top_tau(self, top: int) -> Floats:
        """Return tau-b among the `top` best in full; NaN where there are no more than those."""
        if top >= self._rows.shape[1]:
            return np.full(len(self._rows), np.nan)
        parts = []
        step = max(1, MOST_AT_ONCE // top**2)
        for start in range(0, len(self._rows), step):
            part = slice(start, start + step)
            rows = np.take_along_axis(self._rows[part], self._by_full[part, :top], axis=1)
            one, other = _signs(self._cheap[rows]), _signs(self._full[rows])
            parts.append(_ratio(*(x.sum((1, 2)) for x in (one * other, one * one, other * other))))
        return np.concatenate(parts)

    def recall(self, best: int) -> Floats:
        """Return the share of the best in full among the best cheap ones."""
        found = self._by_cheap[:, :best, None] == self._by_full[:, None, :best]
        share: Floats = found.any(2).sum(1) / best
        return share

    def regret(self, kept: int) -> Floats:
        """Return what the best in full of the `kept` best cheap ones lacks to the best of all."""
        scores = self._full[self._rows]
        chosen = np.take_along_axis(scores, self._by_cheap[:, :kept], axis=1)
        lacking: Floats = scores.max(1) - chosen.max(1)
        return lacking


def _ranks(scores: Floats) -> Places:
    """Return the rank of each score, 0 for the least; equal scores share one."""
    found: Places = np.unique(scores, return_inverse=True)[1].reshape(scores.shape).astype(np.int64)
    return found


def _signs(scores: Floats) -> Floats:
    """Return which of two is better, by pairs of the last axis: 1, -1, or 0 for a tie."""
    one, other = scores[..., :, None], scores[..., None, :]
    return (one > other).astype(np.float64) - (one < other)


def _ratio(both: Floats, one: Floats, other: Floats) -> Floats:
    """Return tau-b from sums over pairs; NaN where all pairs of one score are tied."""
    below = np.sqrt(one * other)
    found: Floats = np.divide(both, below, out=np.full(len(both), np.nan), where=below > 0)
    return found


def _estimate(measured: Sequence[Floats], count: int) -> IntervalEstimate:
    """Return the figure of all configurations, with the interval of `count` resampled ones."""
    value, draws = measured
    known = draws[np.isfinite(draws)]
    if not np.isfinite(value[0]) or not len(known):
        return IntervalEstimate(None)
    return IntervalEstimate(float(value[0]), *percentiles(known, level=_expanded_level(count)))


def _expanded_level(count: int) -> float:
    """Return the share of the draws between the ends of a 95 % interval of `count` units.

    Percentiles of few units are too narrow, as a normal interval is where Student's is meant.
    Source: Hesterberg 2015, expanded percentiles; quantile of Student's t by Cornish and Fisher.
    """
    normal = NormalDist()
    z, freedom = normal.inv_cdf((1 + LEVEL) / 2), count - 1
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return 2 * normal.cdf(t * math.sqrt(count / freedom)) - 1
