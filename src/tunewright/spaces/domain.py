"""The values that one parameter may take."""

import json
import math
from dataclasses import dataclass
from typing import Any

from tunewright.errors import SpaceError


@dataclass(frozen=True)
class Categorical:
    """One of `choices`, in no order."""

    choices: tuple[Any, ...]

    def __post_init__(self) -> None:
        keys = [canonical(choice) for choice in self.choices]
        if not keys:
            raise SpaceError("a categorical domain without choices", expected="at least one")
        if len(set(keys)) < len(keys):
            raise SpaceError(f"choices {list(self.choices)} repeat a value", expected="each once")

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the choices; True is not 1, but 2.0 is 2."""
        return canonical(value) in {canonical(choice) for choice in self.choices}

    @property
    def ends(self) -> tuple[Any, ...]:
        """Every choice, since each may fail on its own."""
        return self.choices

    def __str__(self) -> str:
        return " | ".join(
            str(choice).lower() if isinstance(choice, bool) else str(choice)
            for choice in self.choices
        )


@dataclass(frozen=True)
class Float:
    """A number from `low` to `high`, on a log scale or in steps if asked."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log, self.step)

    def contains(self, value: Any) -> bool:
        """Whether `value` lies in the domain, and on its grid if it has steps."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-8

    @property
    def ends(self) -> tuple[float, float]:
        """The two bounds."""
        return self.low, self.high

    def __str__(self) -> str:
        return f"{self.low:g} .. {self.high:g}{_scale(self.log, self.step)}"


@dataclass(frozen=True)
class Int:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log, None if self.step == 1 else self.step)

    def contains(self, value: Any) -> bool:
        """Whether `value` is a whole number of the domain."""
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    @property
    def ends(self) -> tuple[int, int]:
        """The two bounds."""
        return self.low, self.high

    def __str__(self) -> str:
        return f"{self.low} .. {self.high}{_scale(self.log, None if self.step == 1 else self.step)}"


Domain = Categorical | Float | Int


def canonical(value: Any) -> str:
    """A text that is equal for equal choices, and only for them."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)


def nearest(domain: Domain, value: Any) -> Any:
    """The value of the domain closest to `value`; the first one if they cannot be compared."""
    if domain.contains(value):
        return value
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if isinstance(domain, Categorical):
        numbers = [c for c in domain.choices if isinstance(c, int | float)]
        if number is None or len(numbers) < len(domain.choices):
            return domain.choices[0]
        return min(numbers, key=lambda choice: abs(choice - number))
    if number is None:
        return domain.low
    clipped = min(max(number, domain.low), domain.high)
    if domain.step:
        place = min(round((clipped - domain.low) / domain.step), grid_steps(domain))
        clipped = on_grid(domain, place)
    return round(clipped) if isinstance(domain, Int) else clipped


def grid_steps(domain: Float | Int) -> int:
    """How many steps fit between the bounds, rounding of binary fractions forgiven."""
    return math.floor((domain.high - domain.low) / (domain.step or 1) + 1e-9)


def on_grid(domain: Float | Int, place: int) -> float:
    """The value `place` steps above the lower bound, never above the upper one."""
    return min(domain.low + place * (domain.step or 1), domain.high)


def _check_bounds(low: float, high: float, log: bool, step: float | None) -> None:
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise SpaceError(f"low = {low}, high = {high}", expected="finite bounds, low <= high")
    if log and low <= 0:
        raise SpaceError(f"low = {low} on a log scale", expected="low > 0")
    if log and step is not None:
        raise SpaceError(f"log and step = {step} together", expected="only one of them")
    if step is not None and step <= 0:
        raise SpaceError(f"step = {step}", expected="step > 0")


def _scale(log: bool, step: float | None) -> str:
    return " (log)" if log else f" (step {step:g})" if step else ""
