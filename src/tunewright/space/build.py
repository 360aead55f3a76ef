"""A specification becomes a space that is known to work on this recipe and this data."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tunewright.config.apply import with_values
from tunewright.config.leaves import choices_of, leaves
from tunewright.config.tree import flatten
from tunewright.errors import ConfigError, SpaceError, did_you_mean
from tunewright.space.domain import Categorical, Domain, Float, Int
from tunewright.space.expression import evaluate, names_in
from tunewright.space.read import SpaceFile
from tunewright.space.rules import Condition, Forbidden, conditions
from tunewright.space.sample import draw
from tunewright.space.space import Parameter, Space, in_order

NOT_TRAINED = ("study", "executor", "stages", "recipe", "goal", "seeds")
"""Sections that say how to search, not what is trained."""


@dataclass(frozen=True)
class Surroundings:
    """What a space is checked against.

    tree: the complete configuration of the stage. facts: figures of the data. typed: paths
    that the user set by hand, which are therefore not searched. words: foreign values by path.
    """

    tree: Mapping[str, Any]
    schema: type[BaseModel]
    facts: Mapping[str, float]
    typed: frozenset[str] = frozenset()
    aliases: Mapping[str, str] | None = None
    words: Mapping[str, Mapping[str, str]] | None = None


def build_space(
    shipped: SpaceFile, given: SpaceFile | None, around: Surroundings
) -> tuple[Space, list[str]]:
    """The space to search and what was changed in it, as notices.

    What `given` leaves out is inherited from `shipped` unless it says otherwise. Choices that
    cannot work on the data are dropped; parameters that no configuration here reads are, too.

    Raises SpaceError for unknown paths, ends that the schema refuses, conditions that never
    hold, and spaces in which nothing is left to search.
    """
    notices: list[str] = []
    raw = _overlaid(shipped, given)
    for path in raw:
        _check_path(path, raw[path], around)
    for path in [path for path in raw if path in around.typed]:
        notices.append(f"{path} is not searched: it is set by hand")
        del raw[path]
    parameters = {path: _parameter(path, spec, raw, around, notices) for path, spec in raw.items()}
    written = {path for path, spec in (given.parameters if given else {}).items() if "when" in spec}
    parameters = _live(parameters, written, around, notices)
    if not parameters:
        raise SpaceError(
            "nothing is left to search", remedy="Use `tunewright train` for one configuration."
        )
    ordered = in_order(parameters)
    rules = _rules(shipped, given, raw, parameters, around)
    derived = {**(shipped.derived if _inherits(given) else {}), **(given.derived if given else {})}
    space = Space(ordered, rules, derived, {**flatten(around.tree), **around.facts})
    _check_ends(space, around)
    if draw(space, random.Random(0)) is None:
        raise SpaceError(
            "the forbid rules leave no combination",
            expected="rules that some point of the space satisfies",
            remedy="Look at them with `tunewright space`.",
        )
    return space, notices


def specification(space: Space) -> dict[str, Any]:
    """A checked space as our YAML, which reads back as the same space."""
    return {
        "inherit": False,
        "parameters": {p.path: _fields(p, space) for p in space.parameters},
        **({"forbid": [_forbidden_fields(rule) for rule in space.forbid]} if space.forbid else {}),
        **({"derived": dict(space.derived)} if space.derived else {}),
    }


def _inherits(given: SpaceFile | None) -> bool:
    return given is None or given.inherit


def _overlaid(shipped: SpaceFile, given: SpaceFile | None) -> dict[str, dict[str, Any]]:
    raw: dict[str, dict[str, Any]] = {}
    if _inherits(given):
        raw = {path: dict(spec) for path, spec in shipped.parameters.items()}
    for path, spec in (given.parameters if given else {}).items():
        below = dict(shipped.parameters.get(path, {}))
        if "choices" in spec or "type" in spec or "low" in spec or "high" in spec:
            below.pop("shrink_to", None)  # these are the user's own choices
        if "type" in spec or "choices" in spec or below.get("type") == "categorical":
            below = {k: v for k, v in below.items() if k in ("when", "fits")}
        raw[path] = {**below, **spec}
    return raw


def _check_path(path: str, spec: Mapping[str, Any], around: Surroundings) -> None:
    known = leaves(around.schema)
    if path not in known:
        searchable = [p for p in known if p.split(".")[0] not in NOT_TRAINED]
        raise SpaceError(
            f"{path} in the space is not a key of the configuration",
            remedy=did_you_mean(path, [*searchable, *(around.aliases or {})])
            or "`tunewright show` lists every key.",
        )
    if path.split(".")[0] in NOT_TRAINED:
        raise SpaceError(
            f"{path} in the space",
            expected="a key that a training run reads",
            remedy="Set it as an override or under `settings:`.",
        )
    if not spec:
        raise SpaceError(f"{path} in the space is empty", expected="choices, or low and high")


def _parameter(
    path: str,
    spec: Mapping[str, Any],
    raw: Mapping[str, Any],
    around: Surroundings,
    notices: list[str],
) -> Parameter:
    try:
        domain = _domain(path, spec, around)
    except SpaceError as error:
        raise SpaceError(f"{path}: {error}") from None
    domain = _fitted(path, domain, spec, raw, around, notices)
    explicit = conditions(spec["when"], f"when of {path}") if spec.get("when") else ()
    explicit = tuple(_own_words(condition, around) for condition in explicit)
    named = {condition.path for condition in explicit}
    implied = [
        Condition(f"{section}.type", among=kinds)
        for section, kinds in leaves(around.schema)[path].kinds.items()
        if f"{section}.type" not in named
        and len(kinds) < len(choices_of(around.schema, f"{section}.type"))
    ]
    return Parameter(path, domain, _word(path, spec.get("default"), around), (*implied, *explicit))


def _domain(path: str, spec: Mapping[str, Any], around: Surroundings) -> Domain:
    kind = spec.get("type") or ("categorical" if "choices" in spec else "float")
    if kind in ("categorical", "bool"):
        choices = spec.get("choices", [True, False] if kind == "bool" else None)
        if not isinstance(choices, list):
            raise SpaceError(f"choices = {choices!r}", expected="a list of values")
        return Categorical(tuple(_word(path, choice, around) for choice in choices))
    if kind not in ("float", "int"):
        raise SpaceError(
            f"type = {kind!r}",
            expected="categorical, float or int",
            remedy=did_you_mean(str(kind), ("categorical", "float", "int")),
        )
    low, high = (_number(name, spec.get(name)) for name in ("low", "high"))
    step = None if spec.get("step") is None else _number("step", spec["step"])
    log = bool(spec.get("log", False))
    if kind == "float":
        return Float(float(low), float(high), log, None if step is None else float(step))
    if any(number != int(number) for number in (low, high, step or 1)):
        raise SpaceError(f"low, high, step = {[low, high, step]}", expected="whole numbers")
    return Int(int(low), int(high), log, int(step or 1))


def _number(name: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpaceError(f"{name} = {value!r}", expected="a number")
    return value


def _fitted(
    path: str,
    domain: Domain,
    spec: Mapping[str, Any],
    raw: Mapping[str, Any],
    around: Surroundings,
    notices: list[str],
) -> Domain:
    """Choices made to fit the data: halved together, or dropped one by one."""
    if not isinstance(domain, Categorical):
        return domain
    fixed = {k: v for k, v in flatten(around.tree).items() if k not in raw} | dict(around.facts)
    if (bound := spec.get("shrink_to")) and names_in(bound) <= fixed.keys():
        limit = evaluate(bound, fixed)
        choices = list(domain.choices)
        while max(choices) > limit and max(choices) > 1:
            choices = sorted({max(1, choice // 2) for choice in choices})
        if choices != list(domain.choices):
            notices.append(
                f"{path}: {_listed(domain.choices)} shrunk to {_listed(choices)}, "
                f"at most {bound} = {limit:g}"
            )
            domain = Categorical(tuple(choices))
    fits = spec.get("fits")
    if fits and names_in(fits) - {"value"} <= fixed.keys():
        good = [c for c in domain.choices if evaluate(fits, {**fixed, "value": c})]
        bad = [c for c in domain.choices if c not in good]
        figures = ", ".join(f"{n} = {fixed[n]:g}" for n in sorted(names_in(fits) - {"value"}))
        if not good:
            raise SpaceError(
                f"no choice of {path} works on this data: {_listed(bad)}",
                expected=f"{fits} ({figures})",
                remedy="Add a choice that fits.",
            )
        if bad:
            notices.append(f"{path}: dropped {_listed(bad)}, which fail {fits} ({figures})")
            domain = Categorical(tuple(good))
    return domain


def _live(
    parameters: dict[str, Parameter], written: set[str], around: Surroundings, notices: list[str]
) -> dict[str, Parameter]:
    """Without the parameters whose conditions can never hold here."""
    fixed = flatten(around.tree) | dict(around.facts)
    while True:
        dead = {}
        for parameter in parameters.values():
            for condition in parameter.when:
                reason = _never(condition, parameter, parameters, fixed, around)
                if reason:
                    dead[parameter.path] = (condition, reason)
        if not dead:
            return parameters
        for path, (condition, reason) in dead.items():
            if path in written and condition.path in parameters:
                raise SpaceError(
                    f"{path} is never reached: it needs {condition}, and {reason}",
                    remedy=f"Mend its `when`, or the domain of {condition.path}.",
                )
            notices.append(f"{path} is not searched: it needs {condition}, and {reason}")
        parameters = {path: p for path, p in parameters.items() if path not in dead}


def _never(
    condition: Condition,
    parameter: Parameter,
    parameters: Mapping[str, Parameter],
    fixed: Mapping[str, Any],
    around: Surroundings,
) -> str:
    path = condition.path
    if path in parameters:
        domain = parameters[path].domain
        return "" if condition.possible(domain) else f"{path} is one of {domain}"
    if path not in leaves(around.schema) and path not in around.facts:
        raise SpaceError(
            f"when of {parameter.path} names {path}, which is not a key",
            remedy=did_you_mean(path, [*parameters, *leaves(around.schema)]),
        )
    default = leaves(around.schema)[path].default if path in leaves(around.schema) else None
    value = fixed.get(path, default)
    return "" if condition.holds(value) else f"it is {value}"


def _rules(
    shipped: SpaceFile,
    given: SpaceFile | None,
    raw: Mapping[str, Mapping[str, Any]],
    parameters: Mapping[str, Parameter],
    around: Surroundings,
) -> tuple[Forbidden, ...]:
    rules: list[Forbidden] = []
    known = {*leaves(around.schema), *around.facts}
    specs = [*(shipped.forbid if _inherits(given) else ()), *(given.forbid if given else ())]
    for spec in specs:
        if isinstance(spec, Mapping) and set(spec) == {"fits"}:
            rules.append(Forbidden(fits=str(spec["fits"])))
            continue
        found = tuple(_own_words(c, around) for c in conditions(spec, "forbid"))
        for condition in found:
            if condition.path not in known:
                raise SpaceError(
                    f"forbid names {condition.path}, which is not a key",
                    remedy=did_you_mean(condition.path, known),
                )
        rules.append(Forbidden(found))
    for path in parameters:
        fits = str(raw[path].get("fits") or "")
        if names_in(fits) & raw.keys() if fits else False:
            rules.append(Forbidden(fits=re.sub(r"\bvalue\b", path, fits)))
    return tuple(rules)


def _check_ends(space: Space, around: Surroundings) -> None:
    """Set every end of every domain once, under its conditions, and ask the schema."""
    for path in space.derived:
        if path not in leaves(around.schema):
            raise SpaceError(
                f"derived sets {path}, which is not a key",
                remedy=did_you_mean(path, leaves(around.schema)),
            )
    for parameter in space.parameters:
        setting = _satisfying(parameter, space)
        for end in parameter.domain.ends:
            try:
                with_values(around.tree, {**setting, parameter.path: end}, around.schema)
            except ConfigError as error:
                raise SpaceError(f"{parameter.path} cannot be {end}: {error}") from None


def _satisfying(parameter: Parameter, space: Space) -> dict[str, Any]:
    """Values under which a parameter exists, conditions of conditions included."""
    setting: dict[str, Any] = {}
    for condition in parameter.when:
        if condition.path not in space:
            continue
        other = space[condition.path]
        setting |= _satisfying(other, space)
        ends = [end for end in other.domain.ends if condition.holds(end)]
        setting[other.path] = ends[0] if ends else condition.among[0] if condition.among else None
    return {path: value for path, value in setting.items() if value is not None}


def _own_words(condition: Condition, around: Surroundings) -> Condition:
    path = (around.aliases or {}).get(condition.path, condition.path)
    among = tuple(_word(path, value, around) for value in condition.among)
    return Condition(path, among, condition.bounds)


def _word(path: str, value: Any, around: Surroundings) -> Any:
    words = (around.words or {}).get(path, {})
    return words.get(value, value) if isinstance(value, str) else value


def _fields(parameter: Parameter, space: Space) -> dict[str, Any]:
    domain = parameter.domain
    if isinstance(domain, Categorical):
        fields: dict[str, Any] = {"type": "categorical", "choices": list(domain.choices)}
    else:
        kind = "int" if isinstance(domain, Int) else "float"
        fields = {"type": kind, "low": domain.low, "high": domain.high}
        fields |= {"log": True} if domain.log else {}
        fields |= {"step": domain.step} if domain.step and domain.step != 1 else {}
    if parameter.default is not None:
        fields["default"] = parameter.default
    if parameter.when:
        fields["when"] = {
            c.path: dict(c.bounds) if c.bounds is not None else list(c.among)
            for c in parameter.when
        }
    return fields


def _forbidden_fields(rule: Forbidden) -> dict[str, Any]:
    if rule.fits:
        return {"fits": rule.fits}
    return {
        c.path: dict(c.bounds) if c.bounds is not None else list(c.among) for c in rule.conditions
    }


def _listed(values: Any) -> str:
    return f"[{', '.join(str(value) for value in values)}]"
