"""Encode the points of a space as vectors in which a kernel can measure distances."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.spaces.domain import Categorical, Domain, Int, same
from tunewright.spaces.points import at
from tunewright.spaces.space import Space

Vector = npt.NDArray[np.float64]

_BELOW_ONE = math.nextafter(1.0, 0.0)
ABSENT = 0.5
"""Coordinate of a parameter that a point does not have."""


class Encoder:
    """Maps points of a space to vectors, and to the places of their values, and those back.

    A number becomes its place in [0, 1] on its domain's scale. A categorical becomes a one-hot
    block divided by sqrt(2), so that two choices are one unit apart. A parameter with conditions
    has a further column, 1 where a point has it and 0 where not; without it, its other columns are
    those of the middle.

    groups: for each column, the index of the length scale that it uses; the columns of one
    categorical share theirs.
    """

    def __init__(self, space: Space) -> None:
        self.space, self._paths = space, [p.path for p in space.parameters]
        groups: list[int] = []
        for parameter in space.parameters:
            group = max(groups, default=-1) + 1
            groups += [group] * _width(parameter.domain)
            if parameter.when:
                groups.append(group + 1)
        self.groups = np.array(groups, dtype=np.intp)

    def encode(self, values: Mapping[str, Any]) -> Vector:
        """Return the vector of a point; shape (columns,)."""
        row: list[float] = []
        for parameter in self.space.parameters:
            domain, given = parameter.domain, parameter.path in values
            if isinstance(domain, Categorical):
                share = 1.0 / (len(domain.choices) * math.sqrt(2.0))
                row += (
                    [same(values[parameter.path], c) / math.sqrt(2.0) for c in domain.choices]
                    if given
                    else [share] * len(domain.choices)
                )
            else:
                row.append(fraction(domain, values[parameter.path]) if given else ABSENT)
            if parameter.when:
                row.append(float(given))
        return np.array(row)

    def places(self, values: Mapping[str, Any]) -> Vector:
        """Return the place of each parameter's value in its domain; NaN for one without a value."""
        parameters = self.space.parameters
        return np.array(
            [fraction(p.domain, values[p.path]) if p.path in values else np.nan for p in parameters]
        )

    def point(self, places: Vector) -> dict[str, Any]:
        """Return the point whose parameters have these places, each in [0, 1]."""
        place_of = dict(zip(self._paths, np.minimum(places, _BELOW_ONE).tolist(), strict=True))
        return self.space.draw(lambda p: at(p.domain, place_of[p.path]))


def fraction(domain: Domain, value: Any) -> float:
    """Return the place of a value in its domain, from 0 to 1, on the domain's own scale."""
    if isinstance(domain, Categorical):
        place = next((i for i, choice in enumerate(domain.choices) if same(value, choice)), 0)
        return (place + 0.5) / len(domain.choices)
    low, high, number = float(domain.low), float(domain.high), float(value)
    if isinstance(domain, Int) or (domain.step and not domain.log):
        half = float(domain.step or 1) / 2  # each value of a grid spans half a step on either side
        low, high = low - half, high + half
    if domain.log:
        low, high, number = math.log(low), math.log(high), math.log(number)
    return (number - low) / (high - low) if high > low else 0.5


def _width(domain: Domain) -> int:
    return len(domain.choices) if isinstance(domain, Categorical) else 1
