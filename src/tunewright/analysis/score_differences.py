"""How two scores differ, with the interval of the difference: over pairs, or of two measurements.

Values of two models on the same seeds, pictures or classes are paired: what is hard for both
cancels. Without pairs, the interval is that of two independent measurements, which is wider.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunewright.analysis.findings.significance import student_quantile
from tunewright.analysis.score_intervals import Interval
from tunewright.result import Result
from tunewright.runs.record import Direction

LEVEL = 0.975
"""Quantile of the upper end of a 95 % interval."""


@dataclass(frozen=True)
class ScoreDifference(Result):
    """The scores of two models, and how much higher the second one's is.

    of: what was scored, such as `final model`. value: None where the two do not compare; why says
    the reason, or why there is no interval. low, high: the 95 % interval of the difference. method:
    how it was computed, and over how many pairs.
    """

    of: str
    metric: str
    direction: Direction
    first: float
    second: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""
    why: str = ""

    @property
    def verdict(self) -> str:
        """Whether the second is `better`, `worse` or `tied`; empty where that is not known."""
        if self.value is None or self.low is None or self.high is None:
            return ""
        if self.low <= 0.0 <= self.high:
            return "tied"
        return "better" if (self.value > 0.0) is (self.direction == "max") else "worse"

    def as_json(self) -> dict[str, Any]:
        """Return the fields and the verdict."""
        return {**super().as_json(), "verdict": self.verdict}


def paired_difference(
    of: str,
    metric: str,
    direction: Direction,
    first: Mapping[Any, float],
    second: Mapping[Any, float],
    unit: str,
) -> ScoreDifference | None:
    """Return the mean difference over the units that both have; None for fewer than two.

    unit: their name in the singular. The interval is Student's, n - 1 degrees of freedom; there is
    none where all units differ by the same amount other than 0.
    """
    shared = [key for key in first if key in second]
    pairs = [
        (first[key], second[key])
        for key in shared
        if math.isfinite(first[key]) and math.isfinite(second[key])
    ]
    if len(pairs) < 2:
        return None
    one, other = _mean([a for a, _ in pairs]), _mean([b for _, b in pairs])
    differences = [b - a for a, b in pairs]
    value, error = _mean(differences), _standard_error(differences)
    found = ScoreDifference(
        of, metric, direction, one, other, value, method=f"paired over {len(pairs)} {_many(unit)}"
    )
    if error == 0.0 and value != 0.0:
        return _without_interval(found, f"all {_many(unit)} differ by the same amount")
    reach = student_quantile(LEVEL, len(pairs) - 1) * error
    return _with_interval(found, (value - reach, value + reach))


def grouped_difference(
    of: str, metric: str, direction: Direction, first: Sequence[float], second: Sequence[float]
) -> ScoreDifference:
    """Return the difference of the means of two groups of runs that share no seed.

    Source: Welch 1947. Each group needs two values.
    """
    one, other = _mean(first), _mean(second)
    a, b = _standard_error(first) ** 2, _standard_error(second) ** 2
    method = f"unpaired, {len(first)} and {len(second)} seeds"
    found = ScoreDifference(of, metric, direction, one, other, other - one, method=method)
    if a + b == 0.0:
        return _without_interval(found, "no seed differs from the others")
    degrees = (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))
    reach = student_quantile(LEVEL, degrees) * math.sqrt(a + b)
    return _with_interval(found, (other - one - reach, other - one + reach))


def separate_difference(
    of: str,
    metric: str,
    direction: Direction,
    scores: tuple[float, float],
    intervals: tuple[Interval | None, Interval | None],
) -> ScoreDifference:
    """Return the difference of two scores that were measured apart.

    intervals: of the scores; where one is missing, the difference has none.
    """
    one, other = scores
    found = ScoreDifference(of, metric, direction, one, other, other - one)
    if intervals[0] is None or intervals[1] is None:
        return _without_interval(found, "a score has no interval")
    ends = interval_of_difference(one, intervals[0], other, intervals[1])
    return _with_interval(found, ends, method="unpaired, from both intervals")


def interval_of_difference(
    first: float, first_ends: Interval, second: float, second_ends: Interval
) -> Interval:
    """Return the 95 % interval of `second - first`, for errors that are independent.

    The reaches of both intervals towards each other, and away from each other, add up as the sides
    of a right angle do. Source: Zou and Donner 2008 (MOVER).
    """
    value = second - first
    down = math.hypot(max(0.0, second - second_ends[0]), max(0.0, first_ends[1] - first))
    up = math.hypot(max(0.0, second_ends[1] - second), max(0.0, first - first_ends[0]))
    return value - down, value + up


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _standard_error(values: Sequence[float]) -> float:
    if max(values) - min(values) <= 1e-12 * max(map(abs, values)):
        return 0.0  # equal up to rounding
    middle = _mean(values)
    squares = math.fsum((value - middle) ** 2 for value in values)
    return math.sqrt(squares / (len(values) - 1) / len(values))


def _many(unit: str) -> str:
    return f"{unit}es" if unit.endswith("s") else f"{unit}s"


def _with_interval(found: ScoreDifference, ends: Interval, *, method: str = "") -> ScoreDifference:
    return replace(found, low=ends[0], high=ends[1], method=method or found.method)


def _without_interval(found: ScoreDifference, why: str) -> ScoreDifference:
    return replace(found, why=why)
