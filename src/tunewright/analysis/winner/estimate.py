"""Estimate the quality of replicated configurations, corrected for having been selected.

The configurations that are replicated were picked by a noisy score, and the winner is picked by the
mean of a few replicates: both look better than they are. The model is that of empirical Bayes
(Efron and Morris 1975): the true scores of the arms lie around a centre, each with the place that
the search gave it, shrunk; replicates pull an arm from there to their mean as far as the noise
allows. A posterior needs no further correction for picking the best of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tunewright.analysis.winner.noise import ReplicateNoise, estimate_noise, student_quantile
from tunewright.analysis.winner.replicates import Arm, Floats, table

LEVEL = 0.95
SEARCH_WEIGHT = 16.0
"""Arms for which the search counts where it tells how far true scores lie apart: five arms alone
say so little that their differences are shrunk too weakly (benchmarks/winner_simulated.py)."""
FEWEST = 2
"""Replicates of every arm left below which nothing is estimated."""


@dataclass(frozen=True)
class ArmEstimate:
    """What replicates say of an arm; more is better.

    value: shrunk, with its 95 % interval low to high. mean: of the replicates alone, over all
    seeds, with the half width `reach` of its interval; unbiased for an arm that was picked before.
    error: the standard error of `mean`, without what the seeds share.
    """

    value: float
    low: float
    high: float
    mean: float
    reach: float
    error: float


def trust_in_search(scores: Sequence[float], noise: float) -> float:
    """Return the share of a difference between search scores that is no noise, 0 to 1.

    scores: of all finished trials; more is better. noise: the variance of one score. Tweedie's
    formula (Efron 2011) with a normal density through the better half, where the finalists lie:
    a score's expected truth is its distance from the median, times this.
    """
    values = np.asarray(scores, float)
    values = values[np.isfinite(values)]
    if len(values) < 3:
        return 0.0
    median = float(np.median(values))
    upper = values[values >= median]
    variance = float(((upper - median) ** 2).mean())
    return 0.0 if variance <= 0.0 else float(np.clip(1.0 - noise / variance, 0.0, 1.0))


@dataclass(frozen=True)
class Estimates:
    """The estimates by trial, and the noise that they rest on."""

    by_trial: Mapping[int, ArmEstimate]
    noise: ReplicateNoise


def estimate_arms(arms: Sequence[Arm], searched: Sequence[float]) -> Estimates | None:
    """Return the estimates of the arms that have replicates; None where nothing repeats.

    arms: with signs turned so that more is better. searched: the scores of all finished trials of
    the search, likewise.
    """
    arms = [arm for arm in arms if arm.scores]
    seeds = sorted({seed for arm in arms for seed in arm.scores})
    scores = table(arms, seeds)
    noise = estimate_noise(scores) if arms else None
    if noise is None:
        return None
    runs = (~np.isnan(scores)).sum(axis=1)
    trust = trust_in_search(searched, noise.residual)
    prior = trust * np.array([arm.searched for arm in arms])
    errors = np.sqrt(noise.own / runs)
    pooled = np.array([arm.among_best for arm in arms])
    values, spreads = _shrink(noise.means, prior, errors, pooled, trust * noise.residual)
    shared = math.sqrt(noise.seed / len(seeds))
    quantile = student_quantile(noise.degrees_of_mean(), (1 + LEVEL) / 2)
    found = {}
    for index, arm in enumerate(arms):
        value, mean = float(values[index]), float(noise.means[index])
        half = quantile * math.hypot(spreads[index], shared)
        plain = quantile * math.hypot(errors[index], shared)
        found[arm.trial] = ArmEstimate(
            value, value - half, value + half, mean, plain, float(errors[index])
        )
    return Estimates(found, noise)


def _shrink(
    means: Floats,
    prior: Floats,
    errors: Floats,
    pooled: npt.NDArray[np.bool_],
    expected: float,
) -> tuple[Floats, Floats]:
    """Return shrunk values and their standard errors [arms].

    pooled: the arms that lie around one centre; others keep their means. expected: the variance
    between true scores that the search leaves open.
    """
    values, spreads = means.copy(), errors.copy()
    count = int(pooled.sum())
    if count < 2:
        return values, spreads
    gaps, noise = (means - prior)[pooled], errors[pooled] ** 2
    seen = (count - 1) * _between(gaps, noise)
    between = (SEARCH_WEIGHT * expected + seen) / (SEARCH_WEIGHT + count - 1)
    precision = 1.0 / (between + noise)
    centre = float((precision * gaps).sum() / precision.sum())
    weight = between / (between + noise)
    values[pooled] = prior[pooled] + centre + weight * (gaps - centre)
    of_centre = (1.0 - weight) ** 2 / precision.sum()
    # Morris 1983: the last term is for not knowing how far the arms lie apart.
    unknown = 2.0 / (count - 1) * (1.0 - weight) ** 2 * (gaps - centre) ** 2
    spreads[pooled] = np.sqrt(weight * noise + of_centre + unknown)
    return values, spreads


def _between(gaps: Floats, noise: Floats) -> float:
    """Return the variance between arms, above that of their noise (DerSimonian and Laird 1986)."""
    weight = 1.0 / noise
    centre = float((weight * gaps).sum() / weight.sum())
    excess = float((weight * (gaps - centre) ** 2).sum()) - (len(gaps) - 1)
    scale = float(weight.sum() - (weight**2).sum() / weight.sum())
    return max(0.0, excess / scale) if scale > 0.0 else 0.0
