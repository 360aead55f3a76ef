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
WORK = 20_000_000
"""Values of parameters that are counted at most, over all resamples; about two seconds."""


@dataclass(frozen=True)
class Branch:
    """Parameters that the same trials have: all trials, or those in which a condition holds.

    rows: the places of these trials. regimes: by parameter; their rows are places among `rows`.
    """

    rows: Cells
    regimes: Mapping[str, Sequence[Regime]]


def resamples_for(trials: int, parameters: int) -> int:
    """Return how many resamples a study gets: fewer for a large one."""
    return int(np.clip(WORK // max(1, trials * parameters), FEWEST_RESAMPLES, RESAMPLES))


def measure(branches: Sequence[Branch], losses: Floats, counts: Floats) -> Floats:
    """Return PED-ANOVA's figures [resamples, parameters], in the order of the branches.

    losses, counts: [resamples, trials], less is better; how often each trial was drawn.
    """
    columns = []
    for branch in branches:
        inside = counts[:, branch.rows]
        top = top_trials(losses[:, branch.rows], inside)
        columns += [divergences(regimes, inside, top) for regimes in branch.regimes.values()]
    return np.stack(columns, axis=1)


def share_intervals(
    branches: Sequence[Branch], losses: Floats, errors: Floats, resamples: int
) -> dict[str, Interval]:
    """Return the 95 % interval of each parameter's share.

    losses: [trials], less is better. errors: [trials] standard errors of those that are predicted,
    else 0; each resample draws them anew. The figures of a resample are too large by about as much
    as those of the study are, since noise sets its best trials apart as well; so they are reflected
    about those of the study before shares are taken of them (the basic bootstrap, Davison and
    Hinkley 1997, section 5.2). The ends are moved, where need be, to hold the share itself.
    """
    rng, count = np.random.default_rng(0), len(losses)
    found = measure(branches, losses[None, :], np.ones((1, count)))[0]
    draws = []
    for size in np.diff(np.append(np.arange(0, resamples, _at_once(count)), resamples)):
        counts = rng.multinomial(count, np.full(count, 1.0 / count), size=size).astype(np.float64)
        drawn = losses + errors * rng.standard_normal((size, count))
        draws.append(measure(branches, drawn, counts))
    reflected = np.maximum(0.0, 2.0 * found - np.concatenate(draws))
    share, shares = found / found.sum(), _normalise(reflected)
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(shares, [tail, 1.0 - tail], axis=0)
    paths = [path for branch in branches for path in branch.regimes]
    return {
        path: (float(min(low[at], share[at])), float(max(high[at], share[at])))
        for at, path in enumerate(paths)
    }


def _at_once(trials: int) -> int:
    """Return how many resamples are computed together, which bounds the memory."""
    return max(1, 1_000_000 // max(1, trials))


def _normalise(figures: Floats) -> Floats:
    """Return figures [resamples, parameters] as shares; equal ones where all are 0."""
    total = figures.sum(axis=1, keepdims=True)
    even = np.full_like(figures, 1.0 / figures.shape[1])
    return np.divide(figures, total, out=even, where=total > 0)
