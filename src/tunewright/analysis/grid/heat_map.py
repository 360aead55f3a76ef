"""Average a score over the values of two parameters."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np

from tunewright.analysis.grid.run_result import Value, is_finite, label_of, sort_values
from tunewright.result import Result

FEW = 12
"""Distinct values that an axis always shows one by one."""
REPEATED = 2.0
"""Runs a value on average, from which the values are those of a grid and not drawn at random."""
MANY = 200
"""Most values of an axis; more are gathered in ranges."""
RANGES = 8
"""Ranges that an axis of drawn numbers is divided into."""
DECADE = 20.0
"""Largest over smallest number from which an axis without a domain is logarithmic."""


class Point(NamedTuple):
    """The score of one run at its values of the two parameters."""

    x: Value
    y: Value
    score: float


@dataclass(frozen=True)
class Axis:
    """A parameter of a heat map: the labels of its values or ranges, in rising order.

    logarithmic: how ranges are divided. ranges: whether a label is a range of numbers.
    """

    name: str
    labels: tuple[str, ...]
    logarithmic: bool = False
    ranges: bool = False


@dataclass(frozen=True)
class HeatMap(Result):
    """Means of a score by cell, [y][x]; None where no run is.

    counts: runs of each cell. spreads: standard deviation of cells with several runs. notices: what
    the reader of the figure must know.
    """

    title: str
    metric: str
    direction: str
    x: Axis
    y: Axis
    means: tuple[tuple[float | None, ...], ...]
    counts: tuple[tuple[int, ...], ...]
    spreads: tuple[tuple[float | None, ...], ...]
    notices: tuple[str, ...] = ()

    @property
    def runs(self) -> int:
        """How many runs are shown."""
        return sum(map(sum, self.counts))


def heat_map(
    points: Sequence[Point],
    names: tuple[str, str],
    metric: tuple[str, str],
    *,
    logarithmic: tuple[bool | None, bool | None] = (None, None),
    title: str = "",
) -> HeatMap:
    """Average scores by cell; repeated cells are averaged and counted, missing ones are None.

    names: of the parameters along x and y. metric: its name and direction. logarithmic: as in the
    search space; None decides by the numbers. Parameters that were drawn at random, so that hardly
    any value occurs twice, are divided into ranges.
    """
    values = ([p.x for p in points], [p.y for p in points])
    (x, x_of), (y, y_of) = (
        _axis(name, given, log) for name, given, log in zip(names, values, logarithmic, strict=True)
    )
    cells: dict[tuple[int, int], list[float]] = defaultdict(list)
    for point in points:
        cells[y_of(point.y), x_of(point.x)].append(point.score)
    places = [[cells.get((i, j), []) for j in range(len(x.labels))] for i in range(len(y.labels))]
    notices = [
        f"{axis.name} has only one value, {axis.labels[0]}: nothing to compare along it"
        for axis in (x, y)
        if len(axis.labels) == 1
    ]
    notices += [
        f"{axis.name} was drawn from a range: its numbers are gathered in {len(axis.labels)} "
        f"{'logarithmic ' * axis.logarithmic}ranges"
        for axis in (x, y)
        if axis.ranges
    ]
    empty = sum(not cell for row in places for cell in row)
    if empty:
        notices.append(f"{empty} of {len(x.labels) * len(y.labels)} cells have no run: blank")
    means = tuple(tuple(fmean(cell) if cell else None for cell in row) for row in places)
    known = [mean for row in means for mean in row if mean is not None]
    low, high = colour_range(known)
    if beyond := sum(not low <= mean <= high for mean in known):
        notices.append(
            f"{beyond} of {len(known)} cells lie far from the others: they have the colour of the "
            "nearer end of the scale"
        )
    return HeatMap(
        title,
        *metric,
        x,
        y,
        means,
        tuple(tuple(map(len, row)) for row in places),
        tuple(tuple(stdev(cell) if len(cell) > 1 else None for cell in row) for row in places),
        tuple(notices),
    )


def _axis(
    name: str, given: Sequence[Value], logarithmic: bool | None
) -> tuple[Axis, Callable[[Value], int]]:
    """Return an axis, and the function that gives the place of a value on it."""
    values = sort_values(given)
    numbers = [float(v) for v in values if isinstance(v, float)]
    log = bool(numbers) and numbers[0] > 0.0
    log = log and (numbers[-1] / numbers[0] >= DECADE if logarithmic is None else logarithmic)
    drawn = len(values) > FEW and (len(given) < REPEATED * len(values) or len(values) > MANY)
    if drawn and is_finite(values):
        ends = np.geomspace if log else np.linspace
        edges = [float(edge) for edge in ends(numbers[0], numbers[-1], RANGES + 1)]
        labels = tuple(f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges))

        def place(value: Value) -> int:
            assert isinstance(value, float)
            return min(RANGES - 1, max(0, int(np.searchsorted(edges, value, side="right")) - 1))

        return Axis(name, labels, log, ranges=True), place
    places = {(type(value), value): index for index, value in enumerate(values)}
    labels = tuple(label_of(value) for value in values)
    return Axis(name, _distinct(labels, values), log), lambda value: places[type(value), value]


def _distinct(labels: Sequence[str], values: Sequence[Value]) -> tuple[str, ...]:
    """Write labels in full where four digits do not tell them apart."""
    whole = [f"{v:.10g}" if isinstance(v, float) else repr(v) for v in values]
    return tuple(
        label if labels.count(label) == 1 else full
        for label, full in zip(labels, whole, strict=True)
    )


def colour_range(scores: Sequence[float]) -> tuple[float, float]:
    """Return the scores at the ends of the colours: a few awful ones do not stretch them.

    Cells beyond 3 times the distance from the lower to the upper quartile are drawn in the colour
    of the nearer end. Source: Tukey 1977, the outer fence.
    """
    finite = [score for score in scores if math.isfinite(score)]
    low, high = np.quantile(finite, [0.25, 0.75])
    fence = 3.0 * (high - low)
    inside = [score for score in finite if low - fence <= score <= high + fence]
    return (min(inside), max(inside)) if inside else (min(finite), max(finite))
