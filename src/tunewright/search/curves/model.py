"""A Gaussian process over configurations and the progress of their trainings.

The covariance of the scores of two trials x, x' after the shares s, s' of their trainings, with
t = ln(s) / ln(100), is

    a0 M(x, x') + a1 M(x, x') E(t, t') + a2 [same trial] E(t, t') + a3 E(t, t') + noise,

where M is Matern 5/2 with a length scale for each parameter and E = exp(-|t - t'| / length). The
first two terms are how good configurations are in the end and on the way, the third is a trial's
own deviation, the fourth what all trials have in common at a time, such as a schedule's last rise.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_TAIL = ("a0", "a1", "a2", "a3", "time", "noise")
_MEDIANS = {"a0": 0.7, "a1": 0.3, "a2": 0.05, "a3": 0.5, "time": 1.0, "noise": 1e-3}
_SPREADS = {"a0": 0.7, "a1": 0.7, "a2": 1.0, "a3": 0.7, "time": 0.7, "noise": 1.5}
_LENGTH, _LENGTH_SPREAD = 0.7, 0.8
_BOUND = 4.0
"""How many standard deviations of its prior a hyper-parameter may be off."""
_ITERATIONS = 12
_JITTER = 1e-6
_ROOT = np.sqrt(5.0)


@dataclass(frozen=True)
class Observations:
    """Scores along curves.

    x: encoded configurations, shape (n, columns). t: log progress, 0 at the end of a training,
    shape (n,). trial: number of the trial, shape (n,). z: scores, more is better, shape (n,).
    """

    x: Array
    t: Array
    trial: Indices
    z: Array

    def __len__(self) -> int:
        return len(self.z)

    def join(self, others: "Observations") -> "Observations":
        """Return these observations and others behind them."""
        mine, theirs = vars(self), vars(others)
        return Observations(**{name: np.concatenate([mine[name], theirs[name]]) for name in mine})

    def take(self, rows: Indices) -> "Observations":
        """Return the observations at these rows."""
        return Observations(self.x[rows], self.t[rows], self.trial[rows], self.z[rows])


def log_progress(step: float, length: float) -> float:
    """Return the progress of a training as the model's time: 0 at its end, -1 at a hundredth."""
    return float(np.log(min(step / length, 1.0)) / np.log(100.0))


class CurveModel:
    """The process, with hyper-parameters at their most probable values.

    groups: for each column of the encoding, the index of its length scale. columns: their number.
    """

    def __init__(self, groups: Indices) -> None:
        self._groups, self.columns = groups, len(groups)
        lengths = int(groups.max(initial=-1)) + 1
        self._median = np.log([_LENGTH] * lengths + [_MEDIANS[name] for name in _TAIL])
        self._spread = np.array([_LENGTH_SPREAD] * lengths + [_SPREADS[name] for name in _TAIL])
        self._theta = self._median.copy()
        self._data: Observations | None = None

    @property
    def theta(self) -> Array:
        """The logarithms of the hyper-parameters: length scales, then weights, time and noise."""
        return self._theta

    @theta.setter
    def theta(self, theta: Array) -> None:
        if theta.shape != self._theta.shape or not np.all(np.isfinite(theta)):
            raise ValueError(f"{theta.size} hyper-parameters, expected {self._theta.size} numbers")
        self._theta = theta

    def most_probable(self, data: Observations, start: Array) -> Array:
        """Return the most probable hyper-parameters, looked for from `start` on.

        Changes nothing, so that it may run beside `condition` and `predict`.
        """
        squares = self._squares(data.x, data.x)
        bounds = np.stack(
            [self._median - _BOUND * self._spread, self._median + _BOUND * self._spread], axis=1
        )
        found = minimize(
            self._loss,
            start,
            args=(data, squares),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": _ITERATIONS},
        )
        return found.x if np.all(np.isfinite(found.x)) else start

    def learn(self, data: Observations) -> None:
        """Set the hyper-parameters to their most probable values, from where they are now."""
        self._theta = self.most_probable(data, self._theta)

    def condition(self, data: Observations) -> None:
        """Take in the observations; raise numpy.linalg.LinAlgError where they cannot be."""
        covariance = self._between(data, data)
        covariance[np.diag_indices(len(data))] += np.exp(self._theta[-1]) + _JITTER
        self._factor = cho_factor(covariance, lower=True, check_finite=False)
        self._alpha = cho_solve(self._factor, data.z, check_finite=False)
        self._data = data

    def predict(self, x: Array, t: Array, trial: Indices) -> tuple[Array, Array]:
        """Return means and standard deviations of scores without noise; each of shape (n,).

        trial: -1 for a trial that has no observations.
        """
        assert self._data is not None
        at = Observations(x, t, trial, np.zeros(len(t)))
        cross = self._between(at, self._data)
        half = solve_triangular(self._factor[0], cross.T, lower=True, check_finite=False)
        variance = np.exp(self._theta[-6:-2]).sum() - (half * half).sum(0)
        return cross @ self._alpha, np.sqrt(np.maximum(variance, 1e-12))

    def feasibility(self, x: Array, tried: Array, feasible: npt.NDArray[np.bool_]) -> Array:
        """Return how much nearer each row is to feasible trials than to others: 1 to -1.

        A least-squares classifier with the kernel of the final score (Rasmussen & Williams 2006,
        section 6.5).
        """
        kernel = self._matern(self._squares(tried, tried))
        kernel[np.diag_indices(len(tried))] += 0.1
        label = np.where(feasible, 1.0, -1.0)
        weights = cho_solve(cho_factor(kernel, lower=True), label - label.mean())
        near: Array = self._matern(self._squares(x, tried)) @ weights + label.mean()
        return near

    def _squares(self, x: Array, other: Array) -> Array:
        """Return the squared distances by length scale; shape (lengths, n, m)."""
        lengths = int(self._groups.max(initial=-1)) + 1
        found = np.zeros((lengths, len(x), len(other)))
        for column, group in enumerate(self._groups):
            found[group] += (x[:, column, None] - other[None, :, column]) ** 2
        return found

    def _matern(self, squares: Array) -> Array:
        weights = np.exp(-2.0 * self._theta[: len(squares)])
        r = np.sqrt(np.tensordot(weights, squares, 1))
        found: Array = (1.0 + _ROOT * r + 5.0 / 3.0 * r * r) * np.exp(-_ROOT * r)
        return found

    def _between(self, one: Observations, other: Observations) -> Array:
        a0, a1, a2, a3, time = np.exp(self._theta[-6:-1])
        matern = self._matern(self._squares(one.x, other.x))
        along = np.exp(-np.abs(one.t[:, None] - other.t) / time)
        same = (one.trial[:, None] == other.trial) & (one.trial[:, None] >= 0)
        found: Array = a0 * matern + (a1 * matern + a2 * same + a3) * along
        return found

    def _loss(self, theta: Array, data: Observations, squares: Array) -> tuple[float, Array]:
        """Return minus the log posterior up to a constant, and its gradient."""
        a0, a1, a2, a3, time, noise = np.exp(theta[-6:])
        weights = np.exp(-2.0 * theta[:-6])
        r = np.sqrt(np.tensordot(weights, squares, 1))
        decay = np.exp(-_ROOT * r)
        matern = (1.0 + _ROOT * r + 5.0 / 3.0 * r * r) * decay
        apart = np.abs(data.t[:, None] - data.t)
        along = np.exp(-apart / time)
        same = (data.trial[:, None] == data.trial).astype(float)
        by_x = a0 + a1 * along
        on_the_way = (a1 * matern + a2 * same + a3) * along
        covariance = a0 * matern + on_the_way
        covariance[np.diag_indices(len(data))] += noise + _JITTER
        off = (theta - self._median) / self._spread
        try:
            factor = cho_factor(covariance, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return 1e25, off / self._spread
        alpha = cho_solve(factor, data.z, check_finite=False)
        inner = np.outer(alpha, alpha) - cho_solve(factor, np.eye(len(data)), check_finite=False)
        slope = 5.0 / 3.0 * (1.0 + _ROOT * r) * decay * by_x * inner
        gradient = np.empty_like(theta)
        gradient[:-6] = np.tensordot(squares, slope, 2) * weights
        gradient[-6] = a0 * (inner * matern).sum()
        gradient[-5] = a1 * (inner * matern * along).sum()
        gradient[-4] = a2 * (inner * same * along).sum()
        gradient[-3] = a3 * (inner * along).sum()
        gradient[-2] = (inner * on_the_way * apart).sum() / time
        gradient[-1] = noise * np.trace(inner)
        loss = 0.5 * data.z @ alpha + np.log(np.diag(factor[0])).sum() + 0.5 * off @ off
        return float(loss), -0.5 * gradient + off / self._spread
