"""PED-ANOVA for many resamples of the trials at once.

Optuna's evaluator takes one set of trials, as objects; intervals need hundreds. This computes the
same figures from counts on the same grid; a test holds both equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tunewright.analysis.findings.significance import Floats, Mask

Cells = npt.NDArray[np.int64]
TOP = 0.1
"""Share of the trials that count as the best."""
PRIOR = 1.0
"""Trials that the uniform distribution counts as."""
NARROWEST = 0.5 / 1.64
"""Bandwidth at least, in cells: nine tenths of a kernel lie in its own."""


@dataclass(frozen=True)
class Regime:
    """The trials in which a parameter has one and the same domain.

    rows: their places among all trials. cells: [rows] places of their values on a grid. size: cells
    of the grid. is_choice: whether the cells have no order.
    """

    rows: Cells
    cells: Cells
    size: int
    is_choice: bool


def top_trials(losses: Floats, counts: Floats) -> Mask:
    """Return which trials are among the best tenth [resamples, trials].

    losses, counts: [resamples or 1, trials], less is better; how often each was drawn. Those that
    tie with the last of the tenth belong to it.
    """
    order = np.argsort(losses, axis=1, kind="stable")
    if len(losses) == 1:  # sorted once for all resamples
        reached = np.cumsum(counts[:, order[0]], axis=1)
    else:
        reached = np.cumsum(np.take_along_axis(counts, order, axis=1), axis=1)
    last = np.argmax(reached >= np.ceil(TOP * reached[:, -1:]), axis=1)
    if len(losses) == 1:
        worst = losses[0, order[0, last]]
    else:
        worst = losses[np.arange(len(losses)), order[np.arange(len(losses)), last]]
    found: Mask = losses <= worst[:, None]
    return found


def divergences(regimes: Sequence[Regime], counts: Floats, top: Mask) -> Floats:
    """Return [resamples] how far the best trials differ from all in a parameter.

    The Pearson divergence of the two densities, weighted by the regimes in which the best trials
    lie. counts: [resamples or 1, trials]; top: [resamples, trials]. Source: Watanabe et al. 2023;
    of regimes, 2026.
    """
    best = np.where(top, counts, 0.0)
    total = np.zeros(len(top))
    # A resample may hold no trial of a rare condition.
    all_count, best_count = (np.maximum(one.sum(axis=1), 1e-300) for one in (counts, best))
    for regime in regimes:
        if regime.size < 2:
            continue
        inside = _on_grid(regime, counts)
        inside_best = _on_grid(regime, best)
        of_all, of_best = inside.sum(axis=1) / all_count, inside_best.sum(axis=1) / best_count
        density = _choice_density if regime.is_choice else _number_density
        whole, good = density(inside) + 1e-12, density(inside_best) + 1e-12
        pearson = (whole * (good / whole - 1.0) ** 2).sum(axis=1)
        weight = of_best**2 / np.maximum(of_all, 1e-300)
        total += np.where(of_best > 0, weight * pearson, 0.0)
    found: Floats = total * (best_count / all_count) ** 2
    return found


def _on_grid(regime: Regime, counts: Floats) -> Floats:
    """Return [resamples, size] how many trials lie in each cell."""
    taken = counts[:, regime.rows]
    found = np.empty((len(counts), regime.size))
    for row, one in enumerate(taken):
        found[row] = np.bincount(regime.cells, weights=one, minlength=regime.size)
    return found


def _choice_density(counts: Floats) -> Floats:
    """Return [resamples, size] the density of choices: a kernel at each observed one, and a prior.

    Each kernel spreads the prior's weight evenly, as Optuna's estimator does.
    """
    size = counts.shape[1]
    kernels = (counts > 0).sum(axis=1, keepdims=True) + 1.0
    spread = PRIOR / kernels
    weights = counts / (counts.sum(axis=1, keepdims=True) + PRIOR)
    prior = PRIOR / (counts.sum(axis=1, keepdims=True) + PRIOR)
    norm = 1.0 + size * spread
    found: Floats = (weights + weights.sum(axis=1, keepdims=True) * spread) / norm + prior / size
    return found


def _number_density(counts: Floats) -> Floats:
    """Return [resamples, size] the density of numbers on a grid, by Scott's rule with a prior."""
    resamples, size = counts.shape
    grid = np.arange(size)
    sigma = _bandwidth(counts, grid)
    # A kernel at cell m has the mass F(d + .5) - F(d - .5) at cell m + d: one table for all m.
    kernels = _masses(sigma, size)
    offsets = grid[None, :] - grid[:, None] + size - 1  # [centre, cell]
    whole = _whole_masses(sigma, grid, size)
    total = counts.sum(axis=1, keepdims=True) + PRIOR
    weights = counts / whole / total
    found = np.empty((resamples, size))
    for row in range(resamples):
        found[row] = weights[row] @ kernels[row][offsets]
    middle = (size - 1) / 2.0  # the prior is a kernel as wide as the grid
    ends = _normal((np.arange(size + 1) - 0.5 - middle) / size)
    prior = np.diff(ends) / (ends[-1] - ends[0])
    found += PRIOR / total * prior
    return found


def _bandwidth(counts: Floats, grid: Cells) -> Floats:
    """Return [resamples] the widths of the kernels. Source: Scott 1992."""
    total = counts.sum(axis=1)
    safe = np.maximum(total, 1.0)
    mean = counts @ grid / safe
    squares = (counts * (grid[None, :] - mean[:, None]) ** 2).sum(axis=1)
    deviation = np.sqrt(squares / np.maximum(1.0, total - 1.0))
    reached = np.cumsum(counts, axis=1)
    quarter, rest = total // 4, total * 3 // 4
    low = np.argmax((reached >= quarter[:, None]) & (counts > 0), axis=1)
    high = np.argmax((reached > rest[:, None]) & (counts > 0), axis=1)
    sigma = 1.059 * np.minimum((high - low) / 1.34, deviation) * safe**-0.2
    found: Floats = np.maximum(sigma, NARROWEST)
    return found


def _masses(sigma: Floats, size: int) -> Floats:
    """Return [resamples, 2 size - 1] the mass of a kernel at each distance from its centre."""
    ends = np.arange(-size, size) + 0.5
    found: Floats = np.diff(_normal(ends[None, :] / sigma[:, None]), axis=1)
    return found


def _whole_masses(sigma: Floats, grid: Cells, size: int) -> Floats:
    """Return [resamples, size] the mass of each kernel inside the grid."""
    high = _normal((size - 0.5 - grid)[None, :] / sigma[:, None])
    return high - _normal((-0.5 - grid)[None, :] / sigma[:, None])


def _normal(values: Floats) -> Floats:
    """Return the normal distribution function."""
    from scipy.special import ndtr

    found: Floats = ndtr(values)
    return found
