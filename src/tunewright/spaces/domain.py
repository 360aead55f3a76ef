"""Domains: the values that one parameter may take."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from typing import Any, TypeGuard

from tunewright.errors import SpaceError
from tunewright.runs.record import is_same


@dataclass(frozen=True)
class Categorical:
    """One of `choices`, unordered."""

    choices: tuple[Any, ...]

    def __post_init__(self) -> None:
        keys = [canonical(choice) for choice in self.choices]
        if not keys:
            raise SpaceError("a categorical domain without choices", expected="at least one")
        if len(set(keys)) < len(keys):
            raise SpaceError(f"choices {list(self.choices)} repeat a value", expected="each once")

    def contains(self, value: Any) -> bool:
        """Return whether `value` is one of the choices, compared by `same`."""
        return any(same(value, choice) for choice in self.choices)

    @cached_property
    def is_plain(self) -> bool:
        """Whether all choices are scalars that Python takes for different, unlike True and 1."""
        scalar = all(isinstance(c, str | int | float | None) for c in self.choices)
        return scalar and len(set(self.choices)) == len(self.choices)

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
        """Return whether `value` lies in the domain, and on its grid if it has steps.

        A value that exceeds a bound by rounding only counts as the bound.
        """
        if not is_number(value) or not math.isfinite(value):
            return False
        if self.step is None:
            return not (below(value, self.low) or below(self.high, value))
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-8 and 0 <= round(steps) <= grid_steps(self)

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
        """Return whether `value` is a whole number of the domain."""
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


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether a value is a number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def close(one: float, other: float) -> bool:
    """Return whether two numbers are equal up to rounding: 0.1 + 0.2 is 0.3."""
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    return is_same(one, other)


def below(one: float, other: float) -> bool:
    """Return whether a number is smaller than another by more than rounding."""
    return one < other and not close(one, other)


def same(one: Any, other: Any) -> bool:
    """Return whether two values are one choice: 2.0 is 2, 0.1 + 0.2 is 0.3, but True is not 1."""
    if is_number(one) and is_number(other):
        return close(one, other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        ones, others = ({str(k): v for k, v in each.items()} for each in (one, other))
        return ones.keys() == others.keys() and all(same(ones[k], others[k]) for k in ones)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def canonical(value: Any) -> str:
    """Return a text that is equal for equal choices, and only for them."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)


def has_tuple(value: Any) -> bool:
    """Return whether a value is or holds a tuple, which JSON and YAML store as a list."""
    if isinstance(value, Mapping):
        return any(map(has_tuple, value.values()))
    return isinstance(value, tuple) or (isinstance(value, list) and any(map(has_tuple, value)))


def middle(domain: Domain) -> Any:
    """Return the middle of a domain on its own scale; of choices, which have no order, the first.

    On a log scale that is the geometric mean of the bounds: .001 of 1e-5 .. .1. Whole numbers and
    steps take the nearest value of their grid.
    """
    if isinstance(domain, Categorical):
        return domain.choices[0]
    if domain.log:
        return nearest(domain, as_written(math.sqrt(domain.low) * math.sqrt(domain.high)))
    return nearest(domain, as_written(domain.low / 2 + domain.high / 2))


def nearest(domain: Domain, value: Any) -> Any:
    """Return the value of the domain closest to `value`; its middle if they cannot be compared.

    A value of the domain is returned in the domain's spelling.
    """
    if isinstance(domain, Categorical):
        for choice in domain.choices:
            if same(choice, value):
                return choice
        numbers = [c for c in domain.choices if isinstance(c, int | float)]
        if not is_number(value) or len(numbers) < len(domain.choices):
            return middle(domain)
        return min(numbers, key=lambda choice: abs(choice - value))
    if not is_number(value):
        return middle(domain)
    clipped = min(max(value, domain.low), domain.high)
    if domain.step:
        place = min(round((clipped - domain.low) / domain.step), grid_steps(domain))
        clipped = on_grid(domain, place)
    return round(clipped) if isinstance(domain, Int) else float(clipped)


def coerce(domain: Domain, value: Any) -> Any:
    """Return a value in the domain's spelling where it is one of its values, else unchanged."""
    return nearest(domain, value) if domain.contains(value) else value


@cache
def grid_steps(domain: Float | Int) -> int:
    """Return how many steps fit between the bounds, counted in decimals as Optuna does."""
    low, high, step = (Decimal(str(n)) for n in (domain.low, domain.high, domain.step or 1))
    return int((high - low) // step)


def on_grid(domain: Float | Int, place: int) -> float:
    """Return the value `place` steps above the lower bound, as a person writes it.

    Steps are added as decimals: in binary three of 0.1 are 0.30000000000000004.
    """
    if isinstance(domain, Int):
        return domain.low + place * domain.step
    value = Decimal(str(domain.low)) + place * Decimal(str(domain.step or 1))
    return min(float(value), domain.high)


def as_written(number: float) -> float:
    """Round a computed number to the decimal that was meant: 0.7 + 0.1 to 0.8; 1/3 stays."""
    short = f"{number:.15g}"
    return float(short) if len(short) + 1 < len(repr(number)) else number


def _check_bounds(low: float, high: float, log: bool, step: float | None) -> None:
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise SpaceError(f"low = {low}, high = {high}", expected="finite bounds, low <= high")
    if log and low <= 0:
        raise SpaceError(
            f"low = {low} on a log scale",
            expected="low > 0",
            remedy="Take a small low; to try 0 as well, add a parameter that switches it on, and "
            "`when` here.",
        )
    if log and step is not None:
        raise SpaceError(f"log and step = {step} together", expected="only one of them")
    if step is not None and step <= 0:
        raise SpaceError(f"step = {step}", expected="step > 0")


def _scale(log: bool, step: float | None) -> str:
    return " (log)" if log else f" (step {step:g})" if step else ""
