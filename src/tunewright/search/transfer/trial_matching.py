"""Match a trial of another space, or of another study, with this study.

A trial matches when the configuration that it ran is the one that its values give here. This one
rule covers domains, conditions, derived values, defaults, and added or removed parameters.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunewright.config.apply import with_values
from tunewright.config.tree import Tree, flatten, get
from tunewright.errors import ConfigError, SpaceError
from tunewright.recipes.recipe import Recipe
from tunewright.runs.documents import parse_json
from tunewright.runs.record import TrialState
from tunewright.search.prepare import PreparedStudy, run_part, run_tree
from tunewright.search.study.compatibility import NOT_COMPARED
from tunewright.spaces.domain import Categorical, Domain, Int, same
from tunewright.spaces.points import identity

MISSING = object()
REPEATED = "the same point again"
_WORDS = {"true": True, "false": False, "none": None}
ORDER: tuple[TrialState, ...] = ("done", "pruned", "infeasible", "paused", "running", "failed")
"""Preference among several trials at one point: the most informative state first."""


@dataclass(frozen=True)
class Candidate:
    """A trial that ran elsewhere.

    parameters: the searched ones. ran: its whole configuration, None when unknown. stored: in place
    of that, the flat settings that its study kept, where they are known. derived: the expressions
    of its space. foreign: whether its values may be spelled in another dialect.
    """

    number: int
    state: TrialState
    parameters: Mapping[str, Any]
    ran: Tree | None = None
    stored: Mapping[str, Any] = field(default_factory=dict)
    derived: Mapping[str, str] = field(default_factory=dict)
    foreign: bool = False


@dataclass(frozen=True)
class Mismatch:
    """Why a trial does not match this study. alike: the reason without details, for counting."""

    text: str
    alike: str = ""


MatchResult = dict[str, Any] | Mismatch
"""The parameters of a trial in this study, or why it does not match."""


def match_trials(
    recipe: Recipe, prepared: PreparedStudy, candidates: Sequence[Candidate]
) -> dict[int, MatchResult]:
    """Match the trials by number; of several at one point, only one is accepted."""
    matches: dict[int, MatchResult] = {}
    taken: dict[Hashable, int] = {}
    for candidate in sorted(candidates, key=lambda c: (ORDER.index(c.state), c.number)):
        match = match_trial(recipe, prepared, candidate)
        if isinstance(match, dict):
            point = identity(prepared.space, match)
            if point in taken:
                match = Mismatch(f"the same point as trial {taken[point]}", REPEATED)
            else:
                taken[point] = candidate.number
        matches[candidate.number] = match
    return matches


def match_trial(recipe: Recipe, prepared: PreparedStudy, candidate: Candidate) -> MatchResult:
    """Match one trial with the space of `prepared`, regardless of other trials."""
    space = prepared.space
    ran = candidate.ran
    if ran is not None:
        try:  # fill in settings that older versions did not have
            ran = run_part(with_values(ran, {}, recipe.config)[0])
        except ConfigError as error:
            return Mismatch(f"its configuration cannot be read: {error.came}")
    values: dict[str, Any] = {}
    for parameter in space.parameters:
        path = parameter.path
        if not space.exists(parameter, values):
            continue
        found = _value_used(recipe.path(path), path, candidate, ran)
        if found is MISSING:  # the default stands for it, which `assumed_values` tells
            found = parameter.default
            if found is None:
                found = flatten(prepared.explore).get(recipe.path(path), MISSING)
            if not parameter.domain.contains(found):
                return Mismatch(f"{path} is not known")
        words = (
            recipe.dialect.value_aliases.get(recipe.path(path), {}) if candidate.foreign else None
        )
        found = coerce_foreign(parameter.domain, found, words)
        if not parameter.domain.contains(found):
            return Mismatch(f"{path} outside {parameter.domain}")
        values[path] = found
    if (rule := space.broken_rule(values)) is not None:
        return Mismatch(f"forbidden: {rule}")
    try:
        wanted = run_tree(recipe, prepared, values)
    except (ConfigError, SpaceError) as error:
        return Mismatch(error.came)
    if ran is not None:
        differing = differences(ran, wanted, (*NOT_COMPARED, *map(recipe.path, space.inert)))
    else:
        differing = _known_differences(recipe, prepared, candidate, values, wanted)
    if "goal" in differing and len({_metrics(goal) for goal in differing["goal"]}) == 1:
        del differing["goal"]  # may differ by its direction only, which was compared before
    if differing:
        path, (was, now) = next(iter(differing.items()))
        return Mismatch(f"{path} was {was} and is {now} here", f"{path} differed")
    return values


def assumed_values(
    recipe: Recipe, prepared: PreparedStudy, candidate: Candidate, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the defaults that stand for values which a matched trial does not tell."""
    return {
        path: value
        for path, value in values.items()
        if _value_used(recipe.path(path), path, candidate, candidate.ran) is MISSING
    }


def coerce_foreign(domain: Domain, value: Any, words: Mapping[str, str] | None = None) -> Any:
    """Return a value in the domain's spelling where it means one of its values, else unchanged.

    words: other names of choices; with them, texts are parsed as well, such as `1e-3` or `True`.
    """
    if words is not None and isinstance(value, str):
        value = words.get(value, value)
    if isinstance(domain, Categorical):
        readings = [value]
        if words is not None and isinstance(value, str):
            readings += [_from_json(value), _WORDS.get(value.lower(), value)]
        for reading in readings:
            for choice in domain.choices:
                if same(choice, reading):
                    return choice
        as_text = [choice for choice in domain.choices if str(choice) == value]
        return as_text[0] if words is not None and as_text else value
    if words is not None and isinstance(value, str):
        try:
            value = float(value) if not value.strip().lstrip("+-").isdigit() else int(value)
        except ValueError:
            return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(domain, Int):
        return int(value) if float(value).is_integer() else value
    return float(value)


def differences(
    stored: Mapping[str, Any], wanted: Mapping[str, Any], ignored: tuple[str, ...] = ()
) -> dict[str, tuple[Any, Any]]:
    """Return the paths at which a stored configuration differs from the wanted training.

    `auto` in the wanted one matches any value. ignored: prefixes of paths.
    """
    kept, flat = flatten(stored), flatten(run_part(dict(wanted)))
    return {
        path: (kept.get(path), flat.get(path))
        for path in {**flat, **kept}
        if not path.startswith(("trackers", *ignored))
        and not (path in kept and path in flat and _alike(kept[path], flat[path]))
        and not (path not in kept and (flat[path] is False or flat[path] in NOTHING))
    }


NOTHING: tuple[Any, ...] = ({}, "none", None)
"""Values of keys that switch nothing on, as false does: an older version stored none of them."""


def _metrics(goal: str | Sequence[str] | None) -> tuple[str, ...]:
    goals = [goal] if isinstance(goal, str) else goal or ()
    return tuple(one.partition(":")[0] for one in goals)


def _alike(was: Any, now: Any) -> bool:
    return now == "auto" or same(was, now)


def count_mismatches(mismatches: Iterable[Mismatch]) -> list[str]:
    """Count the mismatches by reason: `3: optim.lr outside 0.0001 .. 0.01`, most frequent first."""
    groups: dict[str, list[str]] = {}
    for misfit in mismatches:
        groups.setdefault(misfit.alike or misfit.text, []).append(misfit.text)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [
        f"{len(texts)}: {texts[0] if len(set(texts)) == 1 else alike}" for alike, texts in ordered
    ]


def _value_used(path: str, name: str, candidate: Candidate, ran: Tree | None) -> Any:
    """Return the value that the trial ran with."""
    if ran is not None:
        return get(ran, path, MISSING)
    return candidate.parameters.get(name, candidate.stored.get(path, MISSING))


def _known_differences(
    recipe: Recipe,
    prepared: PreparedStudy,
    candidate: Candidate,
    values: Mapping[str, Any],
    wanted: Tree,
) -> dict[str, tuple[Any, Any]]:
    """Return the known settings of a trial without a stored configuration that differ here."""
    flat = {k: v for k, v in flatten(wanted).items() if not k.startswith(NOT_COMPARED)}
    differing: dict[str, tuple[Any, Any]] = {}
    if candidate.derived != prepared.space.derived and not candidate.foreign:
        return {"derived": (dict(candidate.derived), dict(prepared.space.derived))}
    searched = {recipe.path(name): value for name, value in candidate.parameters.items()}
    drawn = {recipe.path(name) for name in values}
    derived = {recipe.path(name) for name in prepared.space.derived}
    inert = {recipe.path(name) for name in prepared.space.inert}
    for path, was in {**candidate.stored, **searched}.items():
        if path not in flat or path in drawn or (path in derived and path not in searched):
            continue
        if path in inert:
            continue
        now = flat[path]
        if candidate.foreign:
            was = coerce_foreign(
                Categorical((now,)), was, recipe.dialect.value_aliases.get(path, {})
            )
        if not _alike(was, now):
            differing[path] = (was, now)
    return differing


def _from_json(text: str) -> Any:
    try:
        return parse_json(text, finite=False)
    except ValueError:
        return text
