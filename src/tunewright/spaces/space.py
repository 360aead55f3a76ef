"""A search space: parameters in an order in which conditions can be decided."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tunewright.errors import SpaceError
from tunewright.spaces.domain import Domain, Float, coerce, nearest
from tunewright.spaces.expression import evaluate, names_in
from tunewright.spaces.rules import AvoidRule, Condition, ForbidRule, Good

TRIES = 1000
"""Draws after which a space is taken to forbid everything."""


@dataclass(frozen=True)
class Parameter:
    """One searched config path; it exists while all of `when` hold."""

    path: str
    domain: Domain
    default: Any = None
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Space:
    """Parameters, rules about combinations of them, and values derived from sampled ones.

    fixed: the flat configuration around the space, which conditions may refer to, and facts of the
    data by their plain names. avoid: combinations that are tagged where they are tried. good:
    combinations that are tried first. inert: paths that are not searched, since their values make
    no difference. define_by_run: whether trials name their parameters while they run, so that
    those known before are none, or those of earlier trials.
    """

    parameters: tuple[Parameter, ...]
    forbid: tuple[ForbidRule, ...] = ()
    derived: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    avoid: tuple[AvoidRule, ...] = ()
    good: tuple[Good, ...] = ()
    inert: tuple[str, ...] = field(default=(), compare=False)
    define_by_run: bool = False

    def draw(self, choose: Callable[[Parameter], Any]) -> dict[str, Any]:
        """Draw values for the parameters that exist, in order; `choose` picks each."""
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            if self.exists(parameter, values):
                values[parameter.path] = choose(parameter)
        return values

    def exists(self, parameter: Parameter, values: Mapping[str, Any]) -> bool:
        """Return whether a parameter exists, given the values drawn before it.

        A condition on a parameter that does not exist itself does not hold.
        """
        if not parameter.when:
            return True
        known = self._with_fixed(values)
        return all(c.path in known and c.holds(known[c.path]) for c in parameter.when)

    def broken_rule(self, values: Mapping[str, Any]) -> ForbidRule | None:
        """Return the first `forbid` rule that `values` violate, if any."""
        known = self._with_fixed(values)
        return next((rule for rule in self.forbid if rule.is_violated_by(known)), None)

    def avoid_rules_of(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the `avoid` rules that `values` match.

        A rule whose paths are all fixed for the whole study is ignored, since no trial chose them.
        """
        known = self._with_fixed(values)
        return tuple(
            rule.name
            for rule in self.avoid
            if any(c.path in values for c in rule.conditions)
            and all(c.path in known and c.holds(known[c.path]) for c in rule.conditions)
        )

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `values` with the derived ones added."""
        known = self._with_fixed(values)
        return dict(values) | {
            path: evaluate(text, known)
            for path, text in self.derived.items()
            if names_in(text) <= known.keys()
        }

    def contains(self, values: Mapping[str, Any]) -> bool:
        """Return whether this space could have drawn these values."""
        wanted = self.draw(lambda p: values.get(p.path))
        return (
            wanted.keys() == values.keys()
            and all(p.domain.contains(values[p.path]) for p in self.parameters if p.path in wanted)
            and self.broken_rule(values) is None
        )

    def default(self) -> dict[str, Any] | None:
        """Return the first point to try, or None if the defaults themselves are forbidden.

        A parameter starts from its default, else from what the configuration says, else from the
        middle of its domain (`domain.middle`).
        """
        values = self.point({})
        return None if self.broken_rule(values) else values

    def point(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the point with the values of `given` for its parameters, defaults for the rest."""
        return self.draw(lambda p: given[p.path] if p.path in given else self._start(p))

    def _start(self, parameter: Parameter) -> Any:
        default = parameter.default
        written = self.fixed.get(parameter.path) if default is None else default
        return nearest(parameter.domain, written)

    def _with_fixed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `values` with the fixed ones; a searched path that was not drawn is absent.

        Steps are spelled as in rules: Optuna, or an older version, writes the third multiple of 0.1
        as 0.30000000000000004.
        """
        searched = {p.path for p in self.parameters}
        stepped = {
            p.path: coerce(p.domain, values[p.path])
            for p in self.parameters
            if p.path in values and isinstance(p.domain, Float) and p.domain.step
        }
        around = {k: v for k, v in self.fixed.items() if k not in searched}
        return around | dict(values) | stepped

    def __getitem__(self, path: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.path == path:
                return parameter
        raise KeyError(path)

    def __contains__(self, path: object) -> bool:
        return any(parameter.path == path for parameter in self.parameters)


def sort_parameters(parameters: Mapping[str, Parameter]) -> tuple[Parameter, ...]:
    """Sort parameters behind those their conditions name; otherwise keep the written order."""
    placed: dict[str, Parameter] = {}
    waiting = dict(parameters)
    while waiting:
        ready = [
            p
            for p in waiting.values()
            if all(c.path not in waiting or c.path == p.path for c in p.when)
        ]
        if not ready or any(c.path == p.path for p in ready for c in p.when):
            raise SpaceError(
                f"the conditions of {', '.join(waiting)} refer to each other",
                expected="conditions without cycles",
            )
        placed[ready[0].path] = waiting.pop(ready[0].path)
    return tuple(placed.values())
