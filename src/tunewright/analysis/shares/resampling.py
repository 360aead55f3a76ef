"""Intervals of importances, by computing them again on resampled trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunewright.analysis.findings.significance import Floats
from tunewright.analysis.score_intervals import LEVEL, Interval
from tunewright.analysis.shares.divergence import Cells, Regime, divergences, top_trials

RESAMPLES = 200
FEWEST_RESAMPLES = 40
"""Resamples of the largest studies."""
WORK = 5_000_000
"""Values of parameters that are counted at most, over all resamples; about two seconds."""
DENSITY = 1000
"""Values that take as long to count as a density of one parameter does."""


@dataclass(frozen=True)
class Branch:
    """Parameters that the same trials have: all trials, or those in which a condition holds.

    rows: the places of these trials. regimes: by parameter; their rows are places among `rows`.
    """

    rows: Cells
    regimes: Mapping[str, Sequence[Regime]]


def resamples_for(trials: int, parameters: int) -> int:
    """Return how many resamples a study gets: fewer for a large one."""
    work = max(1, parameters) * (trials + DENSITY)
    return int(np.clip(WORK // work, FEWEST_RESAMPLES, RESAMPLES))


def measure(branches: Sequence[Branch], losses: Floats, counts: Floats) -> Floats:
    """Return PED-ANOVA's figures [resamples, parameters], in the order of the branches.

    losses: [resamples or 1, trials], less is better. counts: [resamples, trials], how often each
    trial was drawn.
    """
    columns = []
    for branch in branches:
        inside = counts[:, branch.rows]
        top = top_trials(losses[:, branch.rows], inside)
        columns += [divergences(regimes, inside, top) for regimes in branch.regimes.values()]
    return np.stack(columns, axis=1)


def measure_shuffled(
    branches: Sequence[Branch], losses: Floats, resamples: int, rng: np.random.Generator
) -> Floats:
    """Return the same figures where the best trials are a random tenth. losses: [trials]."""
    columns = []
    for branch in branches:
        once = np.ones((1, len(branch.rows)))
        top = top_trials(losses[None, branch.rows], once)
        random = rng.permuted(np.repeat(top, resamples, axis=0), axis=1)
        columns += [divergences(regimes, once, random) for regimes in branch.regimes.values()]
    return np.stack(columns, axis=1)


def share_intervals(
    branches: Sequence[Branch], losses: Floats, errors: Floats, resamples: int
) -> dict[str, Interval]:
    """Return the 95 % interval of each parameter's share: percentiles of the bootstrap.

    losses: [trials], less is better. errors: [trials] standard errors of those that are predicted,
    else 0; each resample draws them anew.

    Chance alone sets the best trials apart, in a resample even more than in the study. How much is
    measured with the losses shuffled, and taken off each resample's figure: once where a figure is
    above 95 % of the shuffled ones, twice where it is not, as then all of it may be chance; such a
    share's interval begins at 0. The ends are moved, where need be, to hold the share itself.
    """
    rng, count = np.random.default_rng(0), len(losses)
    found = measure(branches, losses[None, :], np.ones((1, count)))[0]
    draws, shuffled = [], []
    for size in np.diff(np.append(np.arange(0, resamples, _at_once(count)), resamples)):
        counts = rng.multinomial(count, np.full(count, 1.0 / count), size=size).astype(np.float64)
        noisy = losses[None, :]
        if errors.any():
            noisy = losses + errors * rng.standard_normal((size, count))
        draws.append(measure(branches, noisy, counts))
        shuffled.append(measure_shuffled(branches, losses, size, rng))
    chance = np.concatenate(shuffled)
    beyond = np.mean(chance >= found, axis=0) <= 1.0 - LEVEL
    noise = np.where(beyond, 1.0, 2.0) * chance.mean(axis=0)
    shares = _normalise(np.maximum(0.0, np.concatenate(draws) - noise))
    share = found / found.sum()
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(shares, [tail, 1.0 - tail], axis=0)
    low = np.where(beyond, np.minimum(low, share), 0.0)
    paths = [path for branch in branches for path in branch.regimes]
    return {
        path: (float(low[at]), float(max(high[at], share[at]))) for at, path in enumerate(paths)
    }


def _at_once(trials: int) -> int:
    """Return how many resamples are computed together, which bounds the memory."""
    return max(1, 1_000_000 // max(1, trials))


def _normalise(figures: Floats) -> Floats:
    """Return figures [resamples, parameters] as shares; equal ones where all are 0."""
    total = figures.sum(axis=1, keepdims=True)
    even = np.full_like(figures, 1.0 / figures.shape[1])
    found: Floats = np.divide(figures, total, out=even, where=total > 0)
    return found
