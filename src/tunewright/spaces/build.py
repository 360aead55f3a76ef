"""Build a space that is known to work on this recipe and this data from its specification."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunewright.config.apply import with_values
from tunewright.config.dialect import missing_name
from tunewright.config.leaves import leaves, shown_kinds
from tunewright.config.tree import flatten
from tunewright.errors import ConfigError, SpaceError, did_you_mean, quote
from tunewright.spaces.advice import advice_notices, as_forbidden, select_good, translate_avoided
from tunewright.spaces.apart import check_apart
from tunewright.spaces.domain import nearest, same
from tunewright.spaces.forbidden import (
    check_some_point_is_left,
    drop_decided,
    read_rules,
    rules_of_fits,
)
from tunewright.spaces.parameter import Surroundings, check_names, read_parameter
from tunewright.spaces.read import SpaceFile
from tunewright.spaces.rules import Condition
from tunewright.spaces.space import Parameter, Space, sort_parameters


def build_space(
    shipped: SpaceFile, given: SpaceFile | None, around: Surroundings
) -> tuple[Space, list[str]]:
    """Return the space to search, and notices about what was changed in it.

    What `given` leaves out is inherited from `shipped`, or from the space that it names, unless it
    says otherwise. Choices that cannot work on the data are dropped, as are inert parameters and
    parameters that no configuration here reads. Combinations to avoid are forbidden where `around`
    says so.

    Raises SpaceError for unknown paths, ends that the schema refuses, conditions that never hold,
    and spaces in which nothing is left to search.
    """
    notices: list[str] = []
    if given is not None and given.base is not None:
        shipped = given.base
    raw = _overlay(shipped, given)
    where = {**shipped.where, **(given.where if given else {})}
    for path in raw:
        _check_path(path, raw[path], where.get(path, ""), around)
    outright = _fixed_paths(given, around)
    for path in [path for path in raw if path in outright]:
        notices.append(f"{path} is not searched: it is set {outright[path]}")
        del raw[path]
    derived = {**(shipped.derived if _inherits(given) else {}), **(given.derived if given else {})}
    for path in derived.keys() & around.typed:
        notices.append(f"{path} is not derived: it is set by hand")
        del derived[path]
    for path in [path for path in raw if path in derived]:
        notices.append(f"{path} is not searched: it is derived, {derived[path]}")
        del raw[path]
    parameters: dict[str, Parameter] = {}
    for path, spec in raw.items():
        try:
            messages = [] if spec.get("inert") else notices
            parameters[path] = read_parameter(path, spec, raw, around, messages)
        except SpaceError as error:
            raise SpaceError(
                error.came if path in error.came else f"{path}: {error.came}",
                expected=error.expected,
                where=where.get(path, ""),
                remedy=error.remedy,
            ) from None
    _use_written_defaults(parameters, given, around, notices)
    inert = _drop_inert(parameters, raw, where, around, notices)
    written = {path for path, spec in (given.parameters if given else {}).items() if "when" in spec}
    parameters = _drop_unreachable(parameters, written, around, notices)
    _check_reserved(parameters, around)
    if not parameters:
        raise SpaceError(
            "nothing is left to search", remedy="Use `tunewright train` for one configuration."
        )
    ordered = sort_parameters(parameters)
    specs = [*(shipped.forbid if _inherits(given) else ()), *(given.forbid if given else ())]
    stated = drop_decided(read_rules(specs, around), parameters, around, notices)
    rules = (*stated, *rules_of_fits(raw, parameters))
    derived = {**{path: text for path, text in inert.items() if text}, **derived}
    _check_derived(derived, around)
    below = shipped if _inherits(given) else SpaceFile({})
    above = given or SpaceFile({})
    avoid = translate_avoided([*below.avoid, *above.avoid], around)
    if around.avoid == "forbid":
        rules = (*rules, *as_forbidden(avoid, parameters))
    space = Space(ordered, rules, derived, around.fixed, avoid)
    check_apart(space, where)
    _check_ends(space, where, around)
    check_some_point_is_left(space)
    good, left_out = select_good([*below.good, *above.good], space, list(inert), around)
    space = replace(space, good=good, inert=tuple(inert))
    return space, [*notices, *advice_notices(space), *left_out]


def _inherits(given: SpaceFile | None) -> bool:
    return given is None or given.inherit


def _overlay(shipped: SpaceFile, given: SpaceFile | None) -> dict[str, dict[str, Any]]:
    below = shipped.parameters if _inherits(given) else {}
    raw = {path: dict(fields) for path, fields in below.items()}
    for path, fields in (given.parameters if given else {}).items():
        inherited = raw.get(path, {})
        ends = "low" in fields or "high" in fields
        if "type" in fields or "choices" in fields or (ends and "choices" in inherited):
            # A new domain; its conditions and its fit to the data are inherited.
            inherited = {k: v for k, v in inherited.items() if k in ("when", "fits", "inert")}
        raw[path] = {**inherited, **fields}
    return raw


def _fixed_paths(given: SpaceFile | None, around: Surroundings) -> dict[str, str]:
    """Return the paths with one value for the whole study, and where each was set."""
    by_hand = dict.fromkeys(around.typed, "by hand")
    if given is None:
        return by_hand
    paths = {(around.aliases or {}).get(path, path) for path in flatten(given.settings)}
    for path in paths & given.parameters.keys():
        raise SpaceError(
            f"{path} is both searched and set",
            expected="one of the two",
            where=given.where.get(path, ""),
        )
    return dict.fromkeys(paths, f"in {given.file}") | by_hand


def _check_path(path: str, spec: Mapping[str, Any], where: str, around: Surroundings) -> None:
    known = leaves(around.schema)
    if path not in known:
        instead = missing_name(path, around.not_built)
        if instead is not None:
            raise SpaceError(f"{path} is not in this version", where=where, remedy=instead)
        searchable = [p for p in known if p.split(".")[0] not in around.not_searched]
        raise SpaceError(
            f"{path} in the space is not a key of the configuration",
            where=where,
            remedy=did_you_mean(path, [*searchable, *(around.aliases or {})])
            or "`tunewright show` lists every key.",
        )
    if path.split(".")[0] in around.not_searched:
        raise SpaceError(
            f"{path} in the space",
            expected="a key that a training run reads",
            where=where,
            remedy="Set it as an override or under `settings:`.",
        )
    if not spec:
        raise SpaceError(
            f"{path} in the space is empty", expected="choices, or low and high", where=where
        )


def _use_written_defaults(
    parameters: dict[str, Parameter],
    given: SpaceFile | None,
    around: Surroundings,
    notices: list[str],
) -> None:
    """Use the values of the user's files as defaults, in place of the shipped ones."""
    chosen = {
        path for path, spec in (given.parameters if given else {}).items() if "default" in spec
    }
    for path in [path for path in parameters if path in around.written and path not in chosen]:
        domain, value = parameters[path].domain, around.fixed.get(path)
        if value is None:
            continue
        start = nearest(domain, value)
        if not domain.contains(value):
            notices.append(
                f"{path} = {value} (set in {around.written[path]}) lies outside of the searched "
                f"domain {domain}: the first trial takes {start}"
            )
        parameters[path] = replace(parameters[path], default=start)


def _drop_inert(
    parameters: dict[str, Parameter],
    raw: dict[str, dict[str, Any]],
    where: Mapping[str, str],
    around: Surroundings,
    notices: list[str],
) -> dict[str, str]:
    """Drop the parameters that make no difference; return each path with its default, if any."""
    found: dict[str, str] = {}
    for path in [path for path in parameters if raw[path].get("inert")]:
        reason, default = raw[path]["inert"], parameters[path].default
        if not isinstance(reason, str):
            raise SpaceError(
                f"{path}: inert = {quote(reason)}",
                expected="the reason, or false to search it anyway",
                where=where.get(path, ""),
            )
        stands = around.fixed.get(path, leaves(around.schema)[path].default)
        if default is None or same(default, stands):
            found[path], default = "", stands
        elif isinstance(default, bool | int | float | str):
            found[path] = repr(default)
        else:
            raise SpaceError(f"{path}: default = {quote(default)}", expected="a number or a word")
        kept = "is left out" if default is None else f"stays {default}"  # None is no value
        notices.append(
            f"{path} is inert, and {kept}: {reason}. `inert: false` in a "
            "space file searches it anyway"
        )
        del parameters[path], raw[path]
    return found


def _drop_unreachable(
    parameters: dict[str, Parameter], written: set[str], around: Surroundings, notices: list[str]
) -> dict[str, Parameter]:
    """Return the parameters without those whose conditions can never hold here."""
    fixed = around.fixed
    while True:
        dead = {}
        for parameter in parameters.values():
            for condition in parameter.when:
                reason = _why_unreachable(condition, parameter, parameters, fixed, around)
                if reason:
                    dead[parameter.path] = (condition, reason)
        if not dead:
            return parameters
        for path, (condition, reason) in dead.items():
            if path in written and condition.path in parameters:
                raise SpaceError(
                    f"{path} is never reached: it needs {condition}, and {reason}",
                    remedy=f"Correct its `when`, or the domain of {condition.path}.",
                )
            notices.append(f"{path} is not searched: it needs {condition}, and {reason}")
        parameters = {path: p for path, p in parameters.items() if path not in dead}


def _why_unreachable(
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
    value = fixed[path] if path in fixed else leaves(around.schema)[path].default
    if not condition.holds(value):
        return f"it is {value}"
    return "" if path in fixed else f"{path} does not exist unless it is searched as well"


def _check_reserved(parameters: Mapping[str, Parameter], around: Surroundings) -> None:
    """Raise SpaceError for a value set by hand that no trial can use."""
    known = leaves(around.schema)
    for path, value in around.reserved.items():
        for section, kinds in known[path].kinds.items():
            chosen = parameters.get(f"{section}.type")
            inner = any(section.startswith(f"{other}.") for other in known[path].kinds)
            usual = known[f"{section}.type"].default if inner else None
            if around.reserved.get(f"{section}.type", usual) in kinds:
                continue
            if chosen is None or not any(chosen.domain.contains(kind) for kind in kinds):
                raise SpaceError(
                    f"{path}={value}",
                    expected=f"{section}.type to be {' or '.join(shown_kinds(kinds))}, or searched "
                    "among them",
                    remedy=f"Leave it out, or choose {section}.type.",
                )


def _check_derived(derived: Mapping[str, str], around: Surroundings) -> None:
    for path, text in derived.items():
        check_names(path, leaves(around.schema), "derived")
        check_names(text, around.known_names, f"derived {path}")


def _check_ends(space: Space, where: Mapping[str, str], around: Surroundings) -> None:
    """Check every end of every domain against the schema, under its conditions."""
    for parameter in space.parameters:
        setting = _values_satisfying(parameter, space)
        for end in parameter.domain.ends:
            try:
                with_values(
                    around.tree, {**around.reserved, **setting, parameter.path: end}, around.schema
                )
            except ConfigError as error:
                raise SpaceError(
                    f"{parameter.path} cannot be {end}: {error}",
                    where=where.get(parameter.path, ""),
                ) from None


def _values_satisfying(parameter: Parameter, space: Space) -> dict[str, Any]:
    """Return values under which a parameter exists, conditions of conditions included."""
    setting: dict[str, Any] = {}
    for condition in parameter.when:
        if condition.path not in space:
            continue
        other = space[condition.path]
        setting |= _values_satisfying(other, space)
        ends = [end for end in other.domain.ends if condition.holds(end)]
        setting[other.path] = ends[0] if ends else condition.among[0] if condition.among else None
    return {path: value for path, value in setting.items() if value is not None}
