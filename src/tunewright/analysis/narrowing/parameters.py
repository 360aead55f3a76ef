"""What the trials and the model leave of each parameter's domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.analysis.findings.kinds.parameters import RangeEdge
from tunewright.analysis.findings.significance import Floats
from tunewright.analysis.findings.trial_table import Codes, ParameterColumn
from tunewright.analysis.findings.wording import figure, join_words, trials
from tunewright.analysis.narrowing.bounds import between, part_of
from tunewright.analysis.narrowing.narrowing import Change, NarrowedParameter
from tunewright.analysis.narrowing.optimum_location import OptimumLocation
from tunewright.spaces.domain import Categorical, Domain, canonical, is_number
from tunewright.spaces.space import Parameter

CONFIDENCE = 0.95
"""With which the whole space holds the best point, by the model."""
LEAST_CUT = 0.05
"""Part of a range that is worth cutting off."""
FEWEST_TOP = 5
"""Trials of which the range is always kept, however small the share."""
FEWEST_TRIED = 5
"""Trials of a choice below which it stays: it was hardly tried."""


@dataclass(frozen=True)
class Narrower:
    """Narrows the parameters of a space. keep: the share of the trials whose range stays.

    edges: by path, ends at which the best trials lie. best: the values of the best trial.
    """

    location: OptimumLocation
    keep: float
    edges: Mapping[str, Sequence[RangeEdge]]
    best: Mapping[str, Any]

    @property
    def level(self) -> float:
        """The chance of the optimum that may lie beyond each end."""
        return (1.0 - CONFIDENCE) / (2.0 * max(1, len(self.location.columns)))

    def top_of(self, path: str) -> Codes:
        """Return the places of the best trials among those that have a parameter."""
        column = self.location.of_trials(path)
        rows = np.flatnonzero(column.present)
        order = rows[np.argsort(-self.location.quality[rows], kind="stable")]
        return order[: max(FEWEST_TOP, round(self.keep * len(order)))]

    def narrow(self, parameter: Parameter) -> NarrowedParameter:
        """Return a parameter before and after."""
        path, domain = parameter.path, parameter.domain
        columns = self.location.columns
        if path not in columns:
            return self._result(parameter, domain, "kept", "no trial has it")
        top, has = self.top_of(path), int(self.location.of_trials(path).present.sum())
        if has < 2 * FEWEST_TOP and not isinstance(domain, Categorical):
            return self._result(parameter, domain, "kept", f"only {trials(has)} have it")
        if isinstance(domain, Categorical):
            return self._choices(parameter, domain, top)
        return self._range(parameter, top)

    def _range(self, parameter: Parameter, top: Codes) -> NarrowedParameter:
        column = self.location.of_trials(parameter.path)
        low, high = self._needed_range(column, top)
        low = 0.0 if low < LEAST_CUT else low
        high = 1.0 if high > 1.0 - LEAST_CUT else high
        domain = part_of(column, low, high)
        assert not isinstance(domain, Categorical)
        edges = self.edges.get(parameter.path, ())
        before = parameter.domain
        for edge in edges:
            wider = edge.wider
            assert not isinstance(wider, Categorical)
            domain = between(
                domain,
                domain.low if edge.high else wider.low,
                wider.high if edge.high else domain.high,
            )
        units = units_of(column, top)
        first, last = (column.value(float(end)) for end in (units.min(), units.max()))
        ends = f"the {len(top)} best trials lie from {figure(first)} to {figure(last)}"
        if edges:
            side = join_words(["upper" if edge.high else "lower" for edge in edges])
            reason = f"trials get better up to its {side} end; {ends}"
            cut = any(low > 0.0 if edge.high else high < 1.0 for edge in edges)
            return self._result(parameter, domain, "moved" if cut else "widened", reason)
        if domain == before:
            return self._result(parameter, before, "kept", "the best may lie anywhere in it")
        reason = f"{ends}, and beyond the new range the best is excluded"
        return self._result(parameter, domain, "narrowed", reason)

    def _needed_range(self, column: ParameterColumn, top: Codes) -> tuple[float, float]:
        """Return the places from 0 to 1 between which the best trials and the optimum lie.

        The range of the trials is wider by their mean distance: so far apart, the next better one
        may lie just beyond the last.
        """
        units = units_of(column, top)
        gap = float(units.max() - units.min()) / max(1, len(units) - 1)
        candidates = self.location.of_candidates(column.path)
        optima = candidates.units[self.location.optima(candidates.present)]
        ends = np.quantile(optima, [self.level, 1.0 - self.level])
        low = min(float(units.min()) - gap, float(ends[0]) - 0.01)
        high = max(float(units.max()) + gap, float(ends[1]) + 0.01)
        return max(0.0, low), min(1.0, high)

    def _choices(self, parameter: Parameter, domain: Categorical, top: Codes) -> NarrowedParameter:
        column = self.location.of_trials(parameter.path)
        candidates = self.location.of_candidates(parameter.path)
        optima = candidates.codes[self.location.optima(candidates.present)]
        tried = np.bincount(column.codes[column.present], minlength=len(column.levels))
        among = np.bincount(column.codes[top], minlength=len(column.levels))
        chances = np.bincount(optima, minlength=len(column.levels)) / len(optima)
        places = {canonical(level): code for code, level in enumerate(column.levels)}
        kept: list[Any] = []
        dropped: list[Any] = []
        for choice in domain.choices:
            code = places[canonical(choice)]
            open_still = chances[code] > self.level or tried[code] < FEWEST_TRIED
            (kept if among[code] or open_still else dropped).append(choice)
        edges = self.edges.get(parameter.path, ())
        for edge in edges:
            assert isinstance(edge.wider, Categorical)
            kept += [choice for choice in edge.wider.choices if not domain.contains(choice)]
        kept = sorted(kept) if edges and all(map(is_number, kept)) else kept
        found: Domain = Categorical(tuple(kept))
        if found == domain:
            return self._result(parameter, domain, "kept", "no choice is surely worse")
        reason = f"{len(top)} best trials"
        if dropped:
            them = join_words([figure(choice) for choice in dropped])
            reason = f"{them} worse beyond the noise, and not among the {len(top)} best trials"
        if edges:
            reason = f"trials get better up to the last choice; {reason}"
        change: Change = "moved" if edges and dropped else "widened" if edges else "narrowed"
        if change == "narrowed" and len(kept) == 1:
            change = "fixed"
        return self._result(parameter, found, change, reason)

    def _result(
        self, parameter: Parameter, after: Domain, change: Change, reason: str
    ) -> NarrowedParameter:
        best = self.best.get(parameter.path)
        return NarrowedParameter(parameter.path, parameter.domain, after, change, reason, best)


def units_of(column: ParameterColumn, rows: Codes) -> Floats:
    """Return the places from 0 to 1 of those trials that have a parameter."""
    units = column.units[rows]
    found: Floats = units[np.isfinite(units)]
    return found
