"""A chart as plain values: what is drawn, not with which library.

A page draws it with Plotly, a paper with matplotlib; both show the same marks, axes and colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Coordinate = float | str | None
"""A number, the name of a category, or None for a gap in a line."""
Mark = Literal["points", "line", "steps", "bars"]


@dataclass(frozen=True)
class Series:
    """Marks of one kind.

    colour: a colour of `figures`, or "ink" and "pale", which follow a dark page. shades: a number a
    mark, which colours it; then `colour` is not used. low, high: ends of an interval a mark; None
    where it has none. texts: what a mark says when it is pointed at, as plain text. size: pixels of
    a point, or of a line. across: whether bars lie along x. starts: where bars begin along their
    length, for bars that do not begin at 0.
    """

    name: str
    x: Sequence[Coordinate]
    y: Sequence[Coordinate]
    mark: Mark = "points"
    colour: str = "ink"
    shades: Sequence[float] = ()
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    texts: Sequence[str] = ()
    size: float = 7.0
    opacity: float = 1.0
    across: bool = False
    starts: Sequence[float] = ()


@dataclass(frozen=True)
class ChartAxis:
    """An axis; categories: their order where coordinates are names, from the origin on.

    ticks: positions of labels and their texts, in place of numbers. limits: the ends.
    """

    title: str = ""
    log: bool = False
    categories: Sequence[str] = ()
    ticks: Sequence[tuple[float, str]] = ()
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Chart:
    """One panel. note: a sentence below it. shade_title: what the shades of its series mean."""

    title: str
    series: Sequence[Series]
    x: ChartAxis = ChartAxis()
    y: ChartAxis = ChartAxis()
    note: str = ""
    shade_title: str = ""
    wide: bool = False
    height: int = 360


@dataclass(frozen=True)
class ParallelAxis:
    """One upright axis of parallel coordinates. ticks: as for `ChartAxis`."""

    title: str
    values: Sequence[float | None]
    ticks: Sequence[tuple[float, str]] = ()


@dataclass(frozen=True)
class ParallelChart:
    """Parallel coordinates: a line a row across all axes, coloured by its shade."""

    title: str
    axes: Sequence[ParallelAxis]
    shades: Sequence[float]
    shade_title: str
    note: str = ""
    wide: bool = True
    height: int = 460
