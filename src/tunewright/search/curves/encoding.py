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

ABSENT = 0.5
"""Coordinate of a parameter that a point does not have."""


class Encoder:
    """Maps points of a space to vectors, and back by the fractions of their parameters.

    A number becomes its place in [0, 1] on its domain's scale. A categorical becomes a one-hot
    block divided by sqrt(2), so that two choices are one unit apart. A parameter with conditions
    has a further column, 1 where a point has it and 0 where not; without it, its other columns are
    those of the middle.

    groups: for each column, the index of the length scale that it uses; the columns of one
    categorical share theirs.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
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

    def fractions(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Return the place of each value in its domain, from 0 to 1."""
        return {
            path: fraction(self.space[path].domain, value)
            for path, value in values.items()
            if path in self.space
        }

    def point(self, fractions: Mapping[str, float]) -> dict[str, Any]:
        """Return the point at these places; a parameter that they lack takes its middle."""
        return self.space.draw(lambda p: at(p.domain, min(fractions.get(p.path, 0.5), 1 - 1e-12)))


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
