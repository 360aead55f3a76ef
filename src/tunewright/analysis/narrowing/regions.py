"""Groups of good trials that lie apart, and the space around each."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tunewright.analysis.findings.trial_table import Codes, ParameterColumn
from tunewright.analysis.findings.wording import figure, trials
from tunewright.analysis.narrowing.bounds import between, part_of
from tunewright.analysis.narrowing.narrowing import Change, NarrowedParameter
from tunewright.analysis.narrowing.optimum_location import OptimumLocation
from tunewright.analysis.narrowing.parameters import units_of
from tunewright.spaces.domain import Categorical, Domain, same
from tunewright.spaces.space import Parameter, Space

APART = (0.8, 0.6, 0.4)
"""Distances above which trials lie apart, in units of the usual one; tried from the first on."""
MARGIN = 0.1
"""Part of a range that a region reaches beyond its trials at least."""


def region_parameters(
    location: OptimumLocation, space: Space, keep: float, count: int
) -> Iterator[tuple[list[NarrowedParameter], Mapping[str, Any]]]:
    """Yield the parameters of each region within a space, and its best values, best region first.

    keep: the share of the trials that are good. count: of regions; fewer come where the good trials
    lie together.
    """
    for members in group_trials(location, keep, count):
        best = location.trials[members[0]]
        yield (
            [_parameter(location, parameter, members) for parameter in space.parameters],
            best.parameters,
        )


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
    best = location.trials[members[0]]
    value = best.parameters.get(path)
    after: Domain = before
    if path in location.columns:
        column = location.of_trials(path)
        if isinstance(before, Categorical):
            after = _choices(column, before, members)
        elif len(units_of(column, members)):
            after = _range(column, before, members)
    change: Change = "kept" if after == before else "narrowed"
    about = f"around trial {best.number}"
    reason = f"{about}: {trials(len(members))}, the best with {figure(best.score)}"
    return NarrowedParameter(path, before, after, change, reason, value)


def _choices(column: ParameterColumn, before: Categorical, members: Codes) -> Categorical:
    """Return the choices of a group; all of them where none of its trials has the parameter."""
    used = [column.levels[code] for code in column.codes[members] if code >= 0]
    kept = tuple(c for c in before.choices if any(same(c, one) for one in used))
    return Categorical(kept) if kept else before


def _range(column: ParameterColumn, before: Domain, members: Codes) -> Domain:
    assert not isinstance(before, Categorical)
    units = units_of(column, members)
    low, high = float(units.min()), float(units.max())
    margin = max(MARGIN, (high - low) / max(1, len(units) - 1))
    part = part_of(column, max(0.0, low - margin), min(1.0, high + margin))
    assert not isinstance(part, Categorical)
    first, last = max(part.low, before.low), min(part.high, before.high)
    return between(before, first, last)
