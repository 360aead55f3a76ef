"""Constraints on the results of a trial, such as `size_mib <= 10`."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tunewright.errors import ConfigError, did_you_mean
from tunewright.runs.record import COSTS, is_same

_WRITTEN = re.compile(r"\s*([\w./@-]+)\s*(<=|>=)\s*(\S+)\s*")


@dataclass(frozen=True)
class Constraint:
    """A constraint `metric <= bound`, or `>=`."""

    metric: str
    at_most: bool
    bound: float

    @property
    def text(self) -> str:
        """The constraint as written; the key under which a study stores it."""
        return f"{self.metric} {'<=' if self.at_most else '>='} {self.bound:.15g}"

    def excess(self, measured: Mapping[str, float]) -> float:
        """Return the violation: 0 or less when the constraint holds or the metric is unknown."""
        if self.metric not in measured:
            return 0.0
        if is_same(measured[self.metric], self.bound):
            return 0.0
        over = measured[self.metric] - self.bound
        return over if self.at_most else -over


def constraints(written: Sequence[str], measures: Callable[[str], bool]) -> tuple[Constraint, ...]:
    """Parse the constraints of `study.constraints`.

    measures: returns whether runs know a metric. Raises ConfigError for a constraint that cannot be
    read, and for a metric that no run measures.
    """
    return tuple(_read(text, measures) for text in written)


def _read(text: str, measures: Callable[[str], bool]) -> Constraint:
    match = _WRITTEN.fullmatch(text)
    bound = _number(match[3]) if match else None
    if match is None or bound is None:
        raise ConfigError(
            f"study.constraints: {text!r}",
            expected="METRIC <= NUMBER or METRIC >= NUMBER",
            remedy="For example study.constraints=['size_mib <= 10'].",
        )
    if not measures(match[1]):
        raise ConfigError(
            f"study.constraints: {text!r} names {match[1]!r}, which no run measures",
            expected=f"a metric of the recipe, or one of {', '.join(COSTS)}",
            remedy=did_you_mean(match[1], COSTS),
        )
    return Constraint(match[1], match[2] == "<=", bound)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
