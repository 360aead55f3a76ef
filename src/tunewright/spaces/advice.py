"""Advice of a space: combinations to avoid, and good ones to try first."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.errors import SpaceError, quote
from tunewright.spaces.domain import Domain, coerce, same
from tunewright.spaces.parameter import Surroundings, check_names, translate_condition
from tunewright.spaces.points import identity, list_values
from tunewright.spaces.rules import AvoidRule, Condition, ForbidRule, Good, conditions
from tunewright.spaces.space import Space


def read_avoided(raw: Sequence[Any]) -> tuple[AvoidRule, ...]:
    """Parse rules: `{name:, because:, when: {path: condition}}`; the last of a name wins."""
    rules = {}
    for spec in raw:
        name, because, when = _read_entry(spec, "avoid", "when")
        rules[name] = AvoidRule(name, because, conditions(when, f"when of {quote(name)}"))
    return tuple(rules.values())


def read_good(raw: Sequence[Any]) -> tuple[Good, ...]:
    """Parse combinations: `{name:, because:, set: {path: value}}`; the last of a name wins."""
    found = {}
    for spec in raw:
        name, because, values = _read_entry(spec, "good", "set")
        if not isinstance(values, Mapping) or not values:
            raise SpaceError(
                f"set of {quote(name)}: {quote(values)}", expected="a mapping, path: value"
            )
        found[name] = Good(name, because, dict(values))
    return tuple(found.values())


def translate_avoided(raw: Sequence[Any], around: Surroundings) -> tuple[AvoidRule, ...]:
    """Return the rules in our spelling; raise SpaceError for names that are no keys."""
    rules = []
    for rule in read_avoided(raw):
        found = tuple(translate_condition(condition, around) for condition in rule.conditions)
        for condition in found:
            check_names(condition.path, around.known_names, f"avoid {quote(rule.name)}")
        rules.append(AvoidRule(rule.name, rule.because, found))
    return tuple(rules)


def as_forbidden(rules: Sequence[AvoidRule], searched: Mapping[str, Any]) -> tuple[ForbidRule, ...]:
    """Return the `avoid` rules as `forbid` rules, without those that no trial chooses."""
    return tuple(
        ForbidRule(rule.conditions, name=rule.name)
        for rule in rules
        if any(c.path in searched for c in rule.conditions)
    )


def advice_notices(space: Space) -> list[str]:
    """Return a notice of the `avoid` rules that matter here; empty where no trial can match."""
    met = [str(rule) for rule in space.avoid if _can_sample(space, rule)]
    if not met:
        return []
    if any(rule.name for rule in space.forbid):
        return [f"left out, by space.avoid=forbid: {'; '.join(met)}"]
    return [
        (
            f"advised against, but still tried: {'; '.join(met)}. Such trials are tagged; "
            "space.avoid=forbid leaves them out"
        )
    ]


def select_good(
    raw: Sequence[Any], space: Space, inert: Sequence[str], around: Surroundings
) -> tuple[tuple[Good, ...], list[str]]:
    """Return the good combinations that this space can try, and why others are left out.

    inert: paths whose values make no difference, which are ignored.
    """
    kept: list[Good] = []
    notices = []
    for good in read_good(raw):
        values = {}
        for path, value in good.values.items():
            own = translate_condition(Condition(path, among=(value,)), around)
            check_names(own.path, around.known_names, f"good {quote(good.name)}")
            if own.path in space:
                values[own.path] = coerce(space[own.path].domain, own.among[0])
            elif own.path not in inert:
                values[own.path] = own.among[0]
        good = Good(good.name, good.because, values)
        if why := _why_not(good, space, kept):
            missed = f". What is missed: {good.because}" if good.because else ""
            notices.append(f"the good combination {quote(good.name)} is left out: {why}{missed}")
        else:
            kept.append(good)
    return tuple(kept), notices


def good_points(space: Space) -> dict[str, dict[str, Any]]:
    """Return the points of the good combinations, by name, without those that are forbidden."""
    points = {good.name: space.point(good.values) for good in space.good}
    return {name: point for name, point in points.items() if space.broken_rule(point) is None}


def believed_optima(space: Space) -> list[dict[str, Any]]:
    """Return the points that somebody takes for good: the defaults, then the good combinations."""
    default = space.default()
    return [*([] if default is None else [default]), *good_points(space).values()]


def _read_entry(spec: Any, kind: str, key: str) -> tuple[str, str, Any]:
    if not isinstance(spec, Mapping) or not {"name", key} <= set(spec) <= {"name", "because", key}:
        raise SpaceError(
            f"{kind}: {quote(spec)}", expected=f"a mapping with name, because and {key}, each once"
        )
    return str(spec["name"]), str(spec.get("because") or ""), spec[key]


def _why_not(good: Good, space: Space, others: Sequence[Good]) -> str:
    """Return why a combination cannot be tried here; empty where it can."""
    for path, value in good.values.items():
        if path in space:
            if not space[path].domain.contains(value):
                return f"{path} = {value} lies outside {space[path].domain}"
        elif path not in space.fixed:
            return f"{path} does not exist"
        elif not same(space.fixed[path], value):
            return f"{path} is fixed at {space.fixed[path]} here"
    point = space.point(good.values)
    for path in good.values:
        if path in space and path not in point:
            return f"{path} needs {' and '.join(map(str, space[path].when))}"
    if (rule := space.broken_rule(point)) is not None:
        return f"forbidden: {rule}"
    taken = {
        identity(space, space.point(other.values)): f"as {quote(other.name)}" for other in others
    }
    if (default := space.default()) is not None:
        taken[identity(space, default)] = "as the first trial, the defaults"
    found = taken.get(identity(space, point))
    return f"the same {found}" if found else ""


def can_be(space: Space, wanted: Sequence[Condition]) -> bool:
    """Return whether a trial can satisfy all of these, conditions of conditions included."""
    needed: dict[str, list[Condition]] = {}
    waiting = list(wanted)
    while waiting:
        condition = waiting.pop()
        if condition.path not in space:
            standing = space.fixed
            if condition.path not in standing or not condition.holds(standing[condition.path]):
                return False
            continue
        if condition.path not in needed:
            waiting += space[condition.path].when
        needed.setdefault(condition.path, []).append(condition)
    return all(_compatible(path, space[path].domain, found) for path, found in needed.items())


def _can_sample(space: Space, rule: AvoidRule) -> bool:
    """Return whether a trial can match the rule by its sampled values."""
    return any(c.path in space for c in rule.conditions) and can_be(space, rule.conditions)


def _compatible(path: str, domain: Domain, found: Sequence[Condition]) -> bool:
    """Return whether one value of a domain can satisfy all the conditions on it."""
    among = [value for condition in found for value in condition.among]
    try:
        values = list_values(path, domain)
    except SpaceError:
        if not among:
            return Condition(path, bounds=_merge(found)).possible(domain)
        values = [value for value in among if domain.contains(value)]
    return any(all(condition.holds(value) for condition in found) for value in values)


def _merge(found: Sequence[Condition]) -> dict[str, Any]:
    """Return the narrowest bounds; `not`, which excludes one number of many, is ignored."""
    narrowest = {"above": max, "at_least": max, "below": min, "at_most": min}
    merged: dict[str, Any] = {}
    for condition in found:
        for name, bound in (condition.bounds or {}).items():
            if name in narrowest:
                merged[name] = narrowest[name](bound, merged.get(name, bound))
    return merged
