"""Groups of good trials that lie apart, and the space around each."""

import numpy as np

from tunewright.analysis.findings.significance import Floats
from tunewright.analysis.findings.trial_table import Codes, ParameterColumn
from tunewright.analysis.findings.wording import figure, join_words
from tunewright.analysis.narrowing.bounds import between, part_of
from tunewright.analysis.narrowing.narrowing import Change, NarrowedParameter
from tunewright.analysis.narrowing.optimum_location import OptimumLocation
from tunewright.analysis.narrowing.parameters import units_of
from tunewright.spaces.domain import Categorical, Domain, Float, Int, same
from tunewright.spaces.space import Parameter, Space

APART = (0.8, 0.6, 0.4)
"""Distances above which trials lie apart, in units of the usual one; tried from the first on."""
MARGIN = 0.1
"""Part of a range that a region reaches beyond its trials at least."""


def region_parameters(
    location: OptimumLocation, space: Space, members: Codes
) -> list[NarrowedParameter]:
    """Return the parameters of a space around a group of trials. members: as `group_trials` has."""
    return [_parameter(location, parameter, members) for parameter in space.parameters]


def group_trials(location: OptimumLocation, keep: float, count: int) -> list[Codes]:
    """Return the places of the good trials in groups, the best of each first.

    The first group lies around the best trial, the next one around the best that lies apart from
    it. A dimension counts for the distance as far as the process says that it changes the score;
    the usual distance is that of a good trial to any other.
    """
    order = np.argsort(-location.quality, kind="stable")
    done = np.array([trial.state == "done" for trial in location.trials], dtype=bool)
    good = order[done[order]][: max(3 * count, round(keep * location.rows))]
    process, points = location.process, location.points[: location.rows]
    usual = float(np.median(process.distances(points[good], points)))
    apart = process.distances(points[good], points[good]) / (usual or 1.0)
    centres: list[int] = [0]
    for limit in APART:
        centres = [0]
        for place in range(1, len(good)):
            if len(centres) < count and min(apart[place, centres]) > limit:
                centres.append(place)
        if len(centres) == count:
            break
    nearest_centre = np.argmin(apart[:, centres], axis=1)
    return [good[nearest_centre == index] for index in range(len(centres))]


def _parameter(
    location: OptimumLocation, parameter: Parameter, members: Codes
) -> NarrowedParameter:
    path, before = parameter.path, parameter.domain
    after: Domain = before
    reason = "none of its trials has it"
    if path in location.columns:
        column = location.of_trials(path)
        units = units_of(column, members)
        if isinstance(before, Categorical):
            after = _choices(column, before, members)
            reason = f"its trials have {join_words([figure(one) for one in after.choices])}"
        elif len(units):
            after = _range(column, before, units)
            first, last = (figure(column.value(float(end))) for end in (units.min(), units.max()))
            reason = f"its trials lie from {first} to {last}"
            reason = reason if first != last else f"its trials have {first}"
    change: Change = "kept" if after == before else "narrowed"
    best = location.trials[members[0]].parameters.get(path)
    return NarrowedParameter(path, before, after, change, reason, best)


def _choices(column: ParameterColumn, before: Categorical, members: Codes) -> Categorical:
    """Return the choices of a group; all of them where none of its trials has the parameter."""
    used = [column.levels[code] for code in column.codes[members] if code >= 0]
    kept = tuple(c for c in before.choices if any(same(c, one) for one in used))
    return Categorical(kept) if kept else before


def _range(column: ParameterColumn, before: Float | Int, units: Floats) -> Domain:
    low, high = float(units.min()), float(units.max())
    margin = max(MARGIN, (high - low) / max(1, len(units) - 1))
    part = part_of(column, max(0.0, low - margin), min(1.0, high + margin))
    assert not isinstance(part, Categorical)
    assert not isinstance(column.domain, Categorical)
    # At the end of what was searched it reaches to the end of a range that is wider now.
    first = before.low if part.low <= column.domain.low else max(part.low, before.low)
    last = before.high if part.high >= column.domain.high else min(part.high, before.high)
    return between(before, first, last)
