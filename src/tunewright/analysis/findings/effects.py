"""Additive models of a figure of each trial on the parameters: which of them explain it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tunewright.analysis.findings.significance import Floats, noncentrality_upper
from tunewright.analysis.findings.trial_table import ParameterColumn

MOST_ROWS = 2000
"""Trials that are modelled at most; more of them change no conclusion and take seconds."""
MOST_CONTROLS = 12
"""Parameters that are held constant at most, the strongest ones."""
ROWS_PER_TERM = 5
"""Trials for each term of the model at least."""
FEW = 3
"""Trials of a choice below which it shares a term with the other rare ones."""


@dataclass(frozen=True)
class EffectTest:
    """An F test of one parameter, all stronger ones held constant.

    share: of the variance, that it explains by itself beyond chance. upper: the upper 95 % bound.
    """

    statistic: float
    first: int
    second: int
    chance: float
    share: float
    upper: float


class Effects:
    """Additive model of `response` [trials] on columns, and on the order of the trials.

    The order stands in the model since a sampler that learns improves the response over time, and
    shifts at the same time parameters that have nothing to do with it. Numbers enter with a slope
    and a curvature, choices with a level each.
    """

    def __init__(self, columns: Mapping[str, ParameterColumn], response: Floats) -> None:
        count = len(response)
        rows = np.arange(count)
        if count > MOST_ROWS:
            rows = np.unique(np.linspace(0, count - 1, MOST_ROWS).astype(np.int64))
        self.rows = rows
        self.response = response[rows]
        self.columns = {path: column.take(rows) for path, column in columns.items()}
        self.terms = {path: terms_of(column) for path, column in self.columns.items()}
        order = np.linspace(0.0, 1.0, len(rows)) if len(rows) else np.zeros(0)
        self.base = np.stack([np.ones(len(rows)), order, np.log1p(20.0 * order)], axis=1)
        self.variance = float(self.response.var()) if len(rows) else 0.0
        self.controls = self._choose_controls()
        self._bases: dict[str, Floats] = {}
        self._fitted: dict[str, Floats] = {}

    def residuals(self, path: str) -> Floats:
        """Return [rows] the response without what the order and the other controls explain."""
        basis = self._basis(path)
        rest: Floats = self.response - basis @ (basis.T @ self.response)
        return rest

    def test(self, path: str, *, with_pairs: bool = False) -> EffectTest | None:
        """Return the test of a parameter; None where there are too few trials.

        with_pairs: count what it explains together with the two strongest others as well.
        """
        terms = self.terms[path]
        if with_pairs:
            terms = np.concatenate([terms, *self._pairs(path)], axis=1)
        basis = self._basis(path)
        rest = self.response - basis @ (basis.T @ self.response)
        free = orthonormal(terms - basis @ (basis.T @ terms))
        first, second = free.shape[1], len(rest) - basis.shape[1] - free.shape[1]
        if first == 0 or second < 8 or self.variance <= 0:
            return None
        explained = float(((free.T @ rest) ** 2).sum())
        noise = max(float(rest @ rest) - explained, 1e-12) / second
        statistic = explained / first / noise
        return self._result(statistic, first, second, noise)

    def _result(self, statistic: float, first: int, second: int, noise: float) -> EffectTest:
        from scipy.special import fdtrc

        scale = noise / (len(self.response) * self.variance)
        share = max(0.0, first * (statistic - 1.0)) * scale
        upper = noncentrality_upper(statistic, first, second) * scale
        chance = float(fdtrc(first, second, statistic))
        return EffectTest(statistic, first, second, chance, share, upper)

    def _choose_controls(self) -> list[str]:
        """Return the parameters that explain most, within what the trials can bear."""
        basis = orthonormal(self.base)
        rest = self.response - basis @ (basis.T @ self.response)
        gains = []
        for path, terms in self.terms.items():
            free = orthonormal(terms - basis @ (basis.T @ terms))
            if width := free.shape[1]:
                gains.append((float(((free.T @ rest) ** 2).sum()) / width, path, width))
        chosen: list[str] = []
        left = len(self.response) // ROWS_PER_TERM - self.base.shape[1]
        for _, path, width in sorted(gains, reverse=True):
            if width <= left and len(chosen) < MOST_CONTROLS:
                chosen.append(path)
                left -= width
        return chosen

    def _basis(self, path: str) -> Floats:
        """Return an orthonormal basis of the order and all controls but one."""
        key = path if path in self.controls else ""
        if key not in self._bases:
            others = [self.terms[control] for control in self.controls if control != key]
            self._bases[key] = orthonormal(np.concatenate([self.base, *others], axis=1))
        return self._bases[key]

    def _pairs(self, path: str) -> list[Floats]:
        """Return products of the parameter's terms and what the two strongest others explain."""
        terms = self.terms[path]
        linear = terms if self.columns[path].is_choice else terms[:, :1]
        others = [control for control in self.controls if control != path][:2]
        return [linear * effect[:, None] for o in others if (effect := self._fit(o)).any()]

    def _fit(self, path: str) -> Floats:
        """Return [rows] what a parameter explains, with mean 0 and variance 1; or all 0."""
        if path not in self._fitted:
            basis = orthonormal(self.terms[path])
            effect = basis @ (basis.T @ self.residuals(path))
            effect -= effect.mean() if len(effect) else 0.0
            spread = float(effect.std()) if len(effect) else 0.0
            self._fitted[path] = effect / spread if spread > 0 else 0.0 * effect
        return self._fitted[path]


def terms_of(column: ParameterColumn) -> Floats:
    """Return [rows, terms] of a parameter, each with mean 0.

    Trials without it are at its middle: that they lack it is the effect of the choice that decides
    whether it exists.
    """
    present = column.present
    found = []
    if column.is_choice:
        counts = np.bincount(column.codes[present], minlength=len(column.levels))
        common = [code for code in np.argsort(-counts, kind="stable") if counts[code] >= FEW]
        found = [(column.codes == code).astype(np.float64) for code in common[1:]]
    else:
        unit = np.where(present, column.units - 0.5, 0.0)
        found = [unit, np.where(present, unit**2 - 1.0 / 12.0, 0.0)]
    if not found:
        return np.zeros((len(present), 0))
    terms = np.stack(found, axis=1)
    centred: Floats = terms - terms.mean(axis=0)
    return centred


def orthonormal(terms: Floats) -> Floats:
    """Return an orthonormal basis [rows, rank] of the columns of `terms`."""
    if not terms.size:
        return np.zeros((len(terms), 0))
    squares, turned = np.linalg.eigh(terms.T @ terms)
    kept = squares > 1e-10 * max(1.0, float(squares[-1]))
    basis: Floats = terms @ (turned[:, kept] / np.sqrt(squares[kept]))
    return basis
