"""Conditions on config values, and the combinations that are forbidden, avoided, or good."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunewright.config.leaves import shown_kinds
from tunewright.errors import SpaceError, did_you_mean, quote
from tunewright.spaces.domain import Categorical, Domain, Int, below, close, is_number, same
from tunewright.spaces.expression import evaluate, names_in

BOUNDS = ("above", "below", "at_least", "at_most", "not")


@dataclass(frozen=True)
class Condition:
    """A requirement on one path: be one of `among`, or lie within `bounds`."""

    path: str
    among: tuple[Any, ...] = ()
    bounds: Mapping[str, Any] | None = None

    def holds(self, value: Any) -> bool:
        """Return whether `value`, the value at the path, satisfies the condition."""
        if self.bounds is None:
            return any(same(value, choice) for choice in self.among)
        return all(_within(name, value, bound) for name, bound in self.bounds.items())

    def possible(self, domain: Domain) -> bool:
        """Return whether any value of `domain` can satisfy the condition."""
        if isinstance(domain, Categorical):
            return any(self.holds(choice) for choice in domain.choices)
        if self.bounds is None:
            return any(domain.contains(choice) for choice in self.among)
        # Every bound is monotone except `not`, which excludes one number of many.
        bounds = {name: self.bounds[name] for name in BOUNDS[:-1] if name in self.bounds}
        if isinstance(domain, Int):
            bounds = {n: round(b) if close(b, round(b)) else b for n, b in bounds.items()}
        low = max(domain.low, bounds.get("at_least", domain.low))
        high = min(domain.high, bounds.get("at_most", domain.high))
        over = bounds.get("above", domain.low - 1)
        under = bounds.get("below", domain.high + 1)
        if isinstance(domain, Int):
            low = max(low, math.floor(over) + 1)
            high = min(high, math.ceil(under) - 1)
            return bool(math.ceil(low) <= math.floor(high))
        return not below(high, low) and below(over, min(high, under)) and below(low, under)

    def __str__(self) -> str:
        if self.bounds is None:
            return f"{self.path} = {' or '.join(shown_kinds([*map(str, self.among)]))}"
        return " and ".join(
            f"{self.path} {name.replace('_', ' ')} {bound}" for name, bound in self.bounds.items()
        )


@dataclass(frozen=True)
class ForbidRule:
    """A combination that is never sampled: all of `conditions`, or `fits` not satisfied.

    name: of the `avoid` rule it comes from, where `space.avoid` makes that forbidden.
    """

    conditions: tuple[Condition, ...] = ()
    fits: str = ""
    name: str = ""

    def is_violated_by(self, values: Mapping[str, Any]) -> bool:
        """Return whether `values` match the rule; rules over absent paths do not apply."""
        if self.fits:
            if not names_in(self.fits) <= values.keys():
                return False
            return not evaluate(self.fits, values)
        return all(c.path in values and c.holds(values[c.path]) for c in self.conditions)

    @property
    def paths(self) -> set[str]:
        """The paths that the rule is about."""
        return {*names_in(self.fits)} if self.fits else {c.path for c in self.conditions}

    def __str__(self) -> str:
        text = f"not ({self.fits})" if self.fits else ", ".join(map(str, self.conditions))
        return f"{self.name} ({text})" if self.name else text


@dataclass(frozen=True)
class AvoidRule:
    """A combination that may be tried, and is advised against: all of `conditions`."""

    name: str
    because: str
    conditions: tuple[Condition, ...]

    def __str__(self) -> str:
        return f"{self.name} ({self.because})" if self.because else self.name


@dataclass(frozen=True)
class Good:
    """A combination that is worth an early trial: `values` by path, the rest at defaults."""

    name: str
    because: str
    values: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.name} ({self.because})" if self.because else self.name


def conditions(raw: Any, where: str) -> tuple[Condition, ...]:
    """Parse conditions from YAML: `{path: value | [values] | {above: .., below: .., not: ..}}`."""
    if not isinstance(raw, Mapping) or not raw:
        raise SpaceError(f"{where}: {quote(raw)}", expected="a mapping from paths to values")
    return tuple(_condition(str(path), wanted, where) for path, wanted in raw.items())


def _condition(path: str, wanted: Any, where: str) -> Condition:
    if isinstance(wanted, Mapping):
        for name, bound in wanted.items():
            if name not in BOUNDS:
                raise SpaceError(
                    f"{where}: {path} has {quote(name)}",
                    expected=f"one of {', '.join(BOUNDS)}",
                    remedy=did_you_mean(str(name), BOUNDS),
                )
            if name != "not" and (isinstance(bound, bool) or not isinstance(bound, int | float)):
                raise SpaceError(f"{where}: {path} {name} {quote(bound)}", expected="a number")
        return Condition(path, bounds=dict(wanted))
    return Condition(path, among=tuple(wanted) if isinstance(wanted, list) else (wanted,))


def _within(name: str, value: Any, bound: Any) -> bool:
    if name == "not":
        excluded = bound if isinstance(bound, list) else [bound]
        return not any(same(value, choice) for choice in excluded)
    if not is_number(value):
        return False
    match name:
        case "above":
            return below(bound, value)
        case "below":
            return below(value, bound)
        case "at_least":
            return not below(value, bound)
        case _:
            return not below(bound, value)
