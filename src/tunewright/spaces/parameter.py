"""Read one parameter of a space: check its fields and fit it to configuration and data."""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import BaseModel

from tunewright.config.leaves import SHOWN_KINDS, choices_of, leaves
from tunewright.config.optuna_names import KEYS
from tunewright.config.schema import OF_STUDIES
from tunewright.config.tree import copy_tree, flatten
from tunewright.errors import SpaceError, did_you_mean, quote, shorten
from tunewright.spaces.domain import (
    Categorical,
    Domain,
    Float,
    Int,
    as_written,
    has_tuple,
    is_number,
)
from tunewright.spaces.expression import evaluate, names_in
from tunewright.spaces.rules import Condition, conditions
from tunewright.spaces.space import Parameter

NOT_TRAINED = (*OF_STUDIES, "recipe", "goal", "seeds", "fidelity")
"""Sections of every recipe that a training run does not read."""
MOST_SETTINGS = 1_000
"""Combinations of other parameters' choices that are looked at for a rule `fits`."""
MOST_HALVINGS = 60


@dataclass(frozen=True)
class Surroundings:
    """The context that a space is checked against.

    tree: the complete configuration of the stage. facts: figures of the data. typed: paths that the
    user set by hand, which are therefore not searched. words: foreign values by path. not_built: a
    guide's keys that this version lacks, and what to use instead. reserved: values set by hand for
    kinds that only some trials choose. not_searched: sections that say how to search, not what is
    trained. avoid: the setting `space.avoid`. written: paths that the user's files set, and where:
    the search begins at their values.
    """

    tree: Mapping[str, Any]
    schema: type[BaseModel]
    facts: Mapping[str, float]
    typed: frozenset[str] = frozenset()
    aliases: Mapping[str, str] | None = None
    words: Mapping[str, Mapping[str, str]] | None = None
    not_built: Mapping[str, str] | None = None
    reserved: Mapping[str, Any] = field(default_factory=dict)
    not_searched: Collection[str] = NOT_TRAINED
    avoid: Literal["warn", "forbid"] = "warn"
    written: Mapping[str, object] = field(default_factory=dict)

    @property
    def fixed(self) -> dict[str, Any]:
        """The flat values around the space: configuration, reserved values, facts of the data."""
        return {**flatten(self.tree), **self.reserved, **self.facts}

    @property
    def known_names(self) -> set[str]:
        """The names that conditions, rules and expressions may use."""
        return {*leaves(self.schema), *self.facts}


def read_parameter(
    path: str,
    spec: Mapping[str, Any],
    raw: Mapping[str, Any],
    around: Surroundings,
    notices: list[str],
) -> Parameter:
    """Return the parameter at `path` from its fields `spec`, among all the fields `raw`.

    Adds to `notices` what had to be changed. Raises SpaceError for a contradictory specification.
    """
    domain = _domain(path, spec, around)
    if any(map(has_tuple, domain.ends)):
        notices.append(f"{path}: tuples are stored as lists, and a trial receives lists")
    default = _word(path, spec.get("default"), around)
    if default is not None and not domain.contains(default):
        raise SpaceError(f"default = {quote(default)}", expected=f"a value of {domain}")
    check_names(spec.get("fits"), {*around.known_names, "value"}, f"fits of {path}")
    check_names(spec.get("shrink_to"), around.known_names, f"shrink_to of {path}")
    domain, default = _fit_to_data(path, domain, default, spec, raw, around, notices)
    default = default if default is not None and domain.contains(default) else None
    explicit = conditions(spec["when"], f"when of {path}") if spec.get("when") else ()
    explicit = tuple(translate_condition(condition, around) for condition in explicit)
    sections = {
        f"{section}.type": kinds
        for section, kinds in leaves(around.schema)[path].kinds.items()
        if len(kinds) < len(choices_of(around.schema, f"{section}.type"))
    }
    named = {condition.path for condition in explicit}
    implied = [
        Condition(kind, among=_possible(kind, kinds, raw, around))
        for kind, kinds in sections.items()
        if kind not in named
    ]
    for condition in explicit:
        foreign = [k for k in condition.among if k not in sections.get(condition.path, [k])]
        if foreign:
            notices.append(
                f"{path} is not searched where {condition.path} is "
                f"{' or '.join(map(str, foreign))}, which has no such key"
            )
    explicit = tuple(
        _narrow(c, sections[c.path], around) if c.path in sections else c for c in explicit
    )
    return Parameter(path, domain, default, (*implied, *explicit))


def _possible(
    path: str, kinds: tuple[str, ...], raw: Mapping[str, Any], around: Surroundings
) -> tuple[str, ...]:
    """Return the kinds without those that cannot occur here, where they are many."""
    if len(kinds) <= SHOWN_KINDS:
        return kinds
    choices = raw.get(path, {}).get("choices", [around.fixed.get(path)])
    return tuple(kind for kind in kinds if kind in choices) or kinds


def _narrow(condition: Condition, kinds: tuple[str, ...], around: Surroundings) -> Condition:
    """Restrict the condition on a section's `type` to the kinds that have the key.

    One that holds for no kind at all is misspelt, and stays as it is for the message.
    """
    if not any(map(condition.holds, choices_of(around.schema, condition.path))):
        return condition
    return Condition(condition.path, among=tuple(kind for kind in kinds if condition.holds(kind)))


def _domain(path: str, spec: Mapping[str, Any], around: Surroundings) -> Domain:
    kind = spec.get("type") or ("categorical" if "choices" in spec else "float")
    if kind in ("categorical", "bool"):
        choices = spec.get("choices", [True, False] if kind == "bool" else None)
        if not isinstance(choices, list):
            raise SpaceError(f"choices = {quote(choices)}", expected="a list of values")
        return Categorical(tuple(_word(path, choice, around) for choice in choices))
    if kind not in ("float", "int"):
        raise SpaceError(
            f"type = {quote(kind)}",
            expected="categorical, float or int",
            remedy=did_you_mean(str(kind), ("categorical", "float", "int")),
        )
    low, high = (_number(name, spec.get(name)) for name in ("low", "high"))
    step = None if spec.get("step") is None else _number("step", spec["step"])
    log = bool(spec.get("log", False))
    if kind == "float" and step is None:
        return Float(float(low), float(high), log)
    if kind == "float":  # a computed bound such as 0.7 + 0.1 is slightly below its step
        low, high, step = (as_written(float(number)) for number in (low, high, step or 0))
        return Float(low, high, log, step)
    if any(number != int(number) for number in (low, high, step or 1)):
        raise SpaceError(f"low, high, step = {[low, high, step]}", expected="whole numbers")
    return Int(int(low), int(high), log, int(step or 1))


def _number(name: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpaceError(f"{name} = {quote(value)}", expected="a number")
    return value


def _fit_to_data(
    path: str,
    domain: Domain,
    default: Any,
    spec: Mapping[str, Any],
    raw: Mapping[str, Any],
    around: Surroundings,
    notices: list[str],
) -> tuple[Domain, Any]:
    """Fit choices to the data, and the default with them: halve them together, or drop some.

    A range ends before the values that do not fit, whatever choices other parameters take.
    """
    if not isinstance(domain, Categorical):
        return _end_in_time(path, domain, spec.get("fits"), raw, around, notices), default
    fixed = {k: v for k, v in around.fixed.items() if k not in raw}
    bound, fits = spec.get("shrink_to"), spec.get("fits")
    if bound and names_in(bound) <= fixed.keys():
        limit, choices = _limit(path, domain, bound, fixed), list(domain.choices)
        while max(choices) > limit and max(choices) > 1:
            choices = sorted({max(1, choice // 2) for choice in choices})
            default = default if default is None else max(1, default // 2)
        if choices != list(domain.choices) and around.fixed.get(path) in choices:
            default = around.fixed[path]  # the configuration has been fitted to the data already
        if choices != list(domain.choices):
            notices.append(
                f"{path}: {_list_values(domain.choices)} shrunk to {_list_values(choices)}, "
                f"at most {bound} = {limit:g}"
            )
            domain = Categorical(tuple(choices))
    settings = _settings(str(fits), raw, around) if fits else []
    if settings:
        fits = str(fits)
        good = [c for c in domain.choices if _fits_somewhere(fits, c, settings)]
        bad = [c for c in domain.choices if c not in good]
        figures = _figures(fits, settings)
        if not good:
            raise SpaceError(
                f"no choice of {path} works on this data: {_list_values(bad)}",
                expected=f"{fits} ({figures})",
                remedy=f"Add a choice that fits, or set {path} by hand.",
            )
        if bad:
            notices.append(f"{path}: dropped {_list_values(bad)}, which fail {fits} ({figures})")
            domain = Categorical(tuple(good))
    return domain, default


def _settings(fits: str, raw: Mapping[str, Any], around: Surroundings) -> list[Mapping[str, Any]]:
    """Return the values around a parameter that `fits` names: fixed ones, and others' choices.

    Empty where another parameter has a range or too many choices, so that only its trials tell.
    """
    names = sorted(names_in(fits) - {"value"})
    choices: list[Sequence[Any]] = []
    for name in names:
        if name in raw:
            choices.append(raw[name].get("choices") or ())
        else:
            choices.append([around.fixed[name]] if name in around.fixed else ())
    if math.prod(map(len, choices)) > MOST_SETTINGS:
        return []
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*choices)]


def _fits_somewhere(fits: str, value: Any, settings: Sequence[Mapping[str, Any]]) -> bool:
    return any(evaluate(fits, {**setting, "value": value}) for setting in settings)


def _figures(fits: str, settings: Sequence[Mapping[str, Any]]) -> str:
    """Return the names in `fits` with their values, as text."""
    shown = {
        name: dict.fromkeys(_figure(setting[name]) for setting in settings)
        for name in sorted(names_in(fits) - {"value"})
    }
    return ", ".join(f"{name} = {' or '.join(values)}" for name, values in shown.items())


def _end_in_time(
    path: str,
    domain: Float | Int,
    fits: str | None,
    raw: Mapping[str, Any],
    around: Surroundings,
    notices: list[str],
) -> Float | Int:
    """Return a range that ends at the largest value that fits; raise SpaceError for none."""
    settings = _settings(fits, raw, around) if fits else []
    if not fits or not settings or _fits_somewhere(fits, domain.high, settings):
        return domain
    good, bad = domain.low, domain.high
    figures = _figures(fits, settings)
    if not _fits_somewhere(fits, good, settings):
        raise SpaceError(
            f"no value of {path} works on this data: {domain}",
            expected=f"{fits} ({figures})",
            remedy=f"Begin lower, or set {path} by hand.",
        )
    places = isinstance(domain, Int)
    for _ in range(MOST_HALVINGS):
        middle = (good + bad) // 2 if places else (good + bad) / 2
        if middle in (good, bad):
            break
        if _fits_somewhere(fits, middle, settings):
            good = middle
        else:
            bad = middle
    step = domain.step or (1 if places else None)
    high = good if step is None else domain.low + (good - domain.low) // step * step
    notices.append(
        f"{path}: values above {high:g} up to {domain.high:g} are excluded, which fail {fits} "
        f"({figures})"
    )
    if isinstance(domain, Int):
        return replace(domain, high=int(high))
    return replace(domain, high=high)


def _limit(path: str, domain: Categorical, bound: str, fixed: Mapping[str, Any]) -> float:
    """Return what `shrink_to` allows; raise SpaceError where it, or a choice, is no number."""
    if not all(isinstance(choice, int) for choice in domain.choices):
        raise SpaceError(f"shrink_to with {_list_values(domain.choices)}", expected="whole numbers")
    limit = evaluate(bound, fixed)
    if not is_number(limit):
        raise SpaceError(f"{path}: shrink_to = {quote(limit)}", expected="a number")
    return limit


def translate_condition(condition: Condition, around: Surroundings) -> Condition:
    """Return a condition in our spelling of keys and values."""
    path = around.aliases.get(condition.path, "") if around.aliases else ""
    path = path or KEYS.get(condition.path, condition.path)
    among = tuple(_word(path, value, around) for value in condition.among)
    if condition.bounds is None:
        return Condition(path, among)
    bounds = {name: _word(path, bound, around) for name, bound in condition.bounds.items()}
    return Condition(path, bounds=bounds)


def _word(path: str, value: Any, around: Surroundings) -> Any:
    words = (around.words or {}).get(path, {})
    if isinstance(value, list):
        return [_word(path, item, around) for item in value]
    if isinstance(value, Mapping):
        return copy_tree(value)  # the caller may modify it
    return words.get(value, value) if isinstance(value, str) else value


def check_names(text: Any, known: Collection[str], where: str) -> None:
    """Raise SpaceError for names in an expression that are neither keys nor facts of the data."""
    for name in sorted(names_in(text) - set(known) if text else ()):
        raise SpaceError(
            f"{where} names {name}, which is not a key", remedy=did_you_mean(name, known)
        )


def _figure(value: Any) -> str:
    return f"{value:g}" if is_number(value) else quote(value)


def _list_values(values: Any) -> str:
    return shorten(f"[{', '.join(str(value) for value in values)}]")
