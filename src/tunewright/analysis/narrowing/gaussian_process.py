"""A Gaussian process over the points of a space, numbers and choices alike."""

import math
from dataclasses import dataclass

import numpy as np

from tunewright.analysis.findings.significance import Floats

ROOT5 = math.sqrt(5.0)
NOISE = (math.log(0.05), 1.5)
"""Mean and standard deviation of the logarithm of the noise's variance, before any trial."""
SIGNAL = (0.0, 0.7)
"""The same of the signal's variance; scores have variance 1."""
STARTS = (0.0, -2.0)
"""From where length scales are fitted, relative to what is expected of them."""
JITTER = 1e-6


@dataclass(frozen=True)
class Differences:
    """Squared differences of points in each dimension: [dimensions, rows, columns].

    The difference of two choices is 1 where they differ.
    """

    squares: Floats

    def distances(self, weights: Floats) -> Floats:
        """Return [rows, columns] the distances r under weights [dimensions]."""
        total: Floats = np.tensordot(weights, self.squares, axes=1)
        return np.sqrt(np.maximum(total, 0.0))


def differences(one: Floats, other: Floats, is_choice: np.ndarray) -> Differences:
    """Return the differences of points [rows, dimensions] and [columns, dimensions]."""
    squares = (one.T[:, :, None] - other.T[:, None, :]) ** 2
    squares[is_choice] = squares[is_choice] > 0
    return Differences(squares)


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process: Matérn 5/2 with a length scale for each dimension, and noise.

    points: [rows, dimensions]. levels: the most values of a choice. weights: [dimensions] 1 /
    length scale squared. signal, noise: variances. factor: Cholesky factor of the rows'
    covariance. solved: the inverse of the covariance times the values.
    """

    points: Floats
    is_choice: np.ndarray
    levels: int
    weights: Floats
    signal: float
    noise: float
    factor: Floats
    solved: Floats

    def distances(self, one: Floats, other: Floats) -> Floats:
        """Return the distances between points [rows, d] and [columns, d], in length scales."""
        a, b = self._embed(one), self._embed(other)
        squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2.0 * a @ b.T
        apart: Floats = np.sqrt(np.maximum(squares, 0.0))
        return apart

    def _embed(self, points: Floats) -> Floats:
        """Return points [rows, axes] whose straight distances are those of the process.

        A choice has an axis for each of its values: two of them are sqrt(2 * 0.5 w) = sqrt(w)
        apart, as two numbers are that differ by 1.
        """
        levels = np.arange(-1, self.levels)
        axes = [points[:, ~self.is_choice] * np.sqrt(self.weights[~self.is_choice])]
        for place in np.flatnonzero(self.is_choice):
            codes = points[:, place].astype(np.int64)  # -1 where it does not exist
            axes.append(np.sqrt(0.5 * self.weights[place]) * (codes[:, None] == levels))
        return np.concatenate(axes, axis=1)

    def draw(self, at: Floats, count: int, rng: np.random.Generator) -> Floats:
        """Return [count, points] functions without noise, drawn from the posterior at `at`."""
        from scipy.linalg import cholesky, solve_triangular

        across = self.signal * _matern(self.distances(self.points, at))
        half = solve_triangular(self.factor, across, lower=True, check_finite=False)
        covariance = self.signal * _matern(self.distances(at, at)) - half.T @ half
        covariance[np.diag_indices(len(at))] += 1e-5 * self.signal
        lower = cholesky(covariance, lower=True, check_finite=False, overwrite_a=True)
        normal = rng.standard_normal((count, len(at)))
        drawn: Floats = (across.T @ self.solved)[None, :] + normal @ lower.T
        return drawn


def fit(points: Floats, values: Floats, is_choice: np.ndarray, levels: int = 0) -> GaussianProcess:
    """Return the most probable process for values [rows] of mean 0 and variance 1.

    levels: the most values that a choice has.

    Length scales are expected to grow with the number of dimensions, so that a dimension counts
    only where the values say so. Sources: Rasmussen and Williams 2006, equations 2.25 and 5.9;
    Hvarfner et al. 2024 for the expected length scales.
    """
    from scipy.linalg import cho_solve, cholesky
    from scipy.optimize import minimize

    apart = differences(points, points, is_choice)
    expected = math.sqrt(2.0) + 0.5 * math.log(max(1, points.shape[1]))
    best = None
    for start in STARTS:
        first = np.full(points.shape[1] + 2, expected + start)
        first[-2:] = SIGNAL[0], NOISE[0]
        found = minimize(
            _loss,
            first,
            args=(apart, values, expected),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-3.5, 8.0)] * points.shape[1] + [(-4.0, 3.0), (-10.0, 1.5)],
            options={"maxiter": 60},
        )
        if best is None or found.fun < best.fun:
            best = found
    assert best is not None
    weights = np.exp(-2.0 * best.x[:-2])
    signal, noise = (float(number) for number in np.exp(best.x[-2:]))
    covariance = signal * _matern(apart.distances(weights))
    covariance[np.diag_indices(len(values))] += noise + JITTER
    factor = cholesky(covariance, lower=True, check_finite=False)
    solved = cho_solve((factor, True), values, check_finite=False)
    return GaussianProcess(points, is_choice, levels, weights, signal, noise, factor, solved)


def _loss(
    free: Floats, apart: Differences, values: Floats, expected: float
) -> tuple[float, Floats]:
    """Return the negative log posterior of the logarithms of all scales, and its gradient."""
    from scipy.linalg import cho_solve, cholesky

    count = len(values)
    weights = np.exp(-2.0 * free[:-2])
    signal, noise = np.exp(free[-2]), np.exp(free[-1])
    r = apart.distances(weights)
    decay = np.exp(-ROOT5 * r)
    kernel = signal * (1.0 + ROOT5 * r + 5.0 / 3.0 * r**2) * decay
    covariance = kernel.copy()
    covariance[np.diag_indices(count)] += noise + JITTER
    try:
        factor = cholesky(covariance, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return 1e25, np.zeros_like(free)
    inverse = cho_solve((factor, True), np.eye(count), check_finite=False)
    solved = inverse @ values
    outer = 0.5 * (inverse - np.outer(solved, solved))  # of the loss by the covariance
    loss = 0.5 * float(values @ solved) + float(np.log(np.diag(factor)).sum())
    by_distance = outer * (signal * 5.0 / 3.0 * (1.0 + ROOT5 * r) * decay)
    gradient = np.empty_like(free)
    gradient[:-2] = weights * np.tensordot(apart.squares, by_distance, axes=2)
    gradient[-2] = float((outer * kernel).sum())
    gradient[-1] = noise * float(np.trace(outer))
    means = np.append(np.full(len(free) - 2, expected), (SIGNAL[0], NOISE[0]))
    spreads = np.append(np.full(len(free) - 2, math.sqrt(3.0)), (SIGNAL[1], NOISE[1]))
    off = (free - means) / spreads
    return loss + 0.5 * float(off @ off), gradient + off / spreads


def _matern(r: Floats) -> Floats:
    correlation: Floats = (1.0 + ROOT5 * r + 5.0 / 3.0 * r**2) * np.exp(-ROOT5 * r)
    return correlation
