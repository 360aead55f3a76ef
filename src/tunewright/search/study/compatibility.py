"""Compare a requested study with the one stored under its name, and list what changed."""

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunewright.config.overrides import quote_override
from tunewright.config.tree import Tree, flatten
from tunewright.errors import StudyError
from tunewright.recipes.recipe import Recipe
from tunewright.search.storage.database import Settings
from tunewright.spaces.space import Space

NOT_COMPARED = (
    "study",
    "space.",
    "executor",
    "stages",
    "trackers",
    "training.checkpoint_seconds",
    "training.keep_",
)
"""Settings that may change between two sessions of a study without spoiling comparisons."""


def changed_space(known: Settings, wanted: Settings) -> tuple[str, ...]:
    """Return the differences of two spaces besides defaults: parameters, then kinds of rules."""
    old, new = (json.loads(json.dumps(s.space)) for s in (known, wanted))
    changed = [
        path
        for path in {**old["parameters"], **new["parameters"]}
        if _domain(path, old["parameters"]) != _domain(path, new["parameters"])
    ]
    changed += [rules for rules in ("forbid", "derived") if old.get(rules) != new.get(rules)]
    changed += ["avoid"] if _advice(old) != _advice(new) else []
    changed += ["space.avoid"] if old.get("settings") != new.get("settings") else []
    return tuple(changed)


def refuse_other_recipe(name: str, known: Settings, recipe: Recipe) -> None:
    """Raise StudyError for a study of another recipe, whose space this recipe could not read."""
    if known.recipe != recipe.name:
        raise StudyError(
            f"the study {name!r} belongs to the recipe {known.recipe!r}",
            expected=f"a study of {recipe.name!r}",
            remedy="Choose another --name.",
        )


def refuse_other_study(name: str, known: Settings, wanted: Settings, recipe: Recipe) -> None:
    """Raise StudyError when the study stored under `name` is another search than the wanted one.

    Another space is not: the study is rebased. Settings that only one of the two spaces leaves
    alone are compared there, trial by trial.
    """
    refuse_other_recipe(name, known, recipe)
    if known.goals != wanted.goals:
        raise StudyError(
            f"the study {name!r} has the goal {known.goal!r}, but {wanted.goal!r} was requested",
            remedy="Choose another --name, since scores of different goals do not compare.",
        )
    replaced = [n for n in wanted.data if known.data.get(n, wanted.data[n]) != wanted.data[n]]
    if replaced:
        raise _other_data(name, known, wanted, replaced)
    if known.seeds != wanted.seeds:
        raise StudyError(
            f"the study {name!r} has {known.seeds} seed(s) per configuration, but "
            f"{wanted.seeds} were requested",
            expected="the same number, since a mean over seeds and a single run do not compare",
            remedy="Choose another --name.",
        )
    if tuple(known.constraints) != tuple(wanted.constraints):
        raise StudyError(
            f"the study {name!r} has the constraints {list(known.constraints)}, but "
            f"{list(wanted.constraints)} were requested",
            expected="the same constraints, since they were checked when each trial ended",
            remedy="Choose another --name.",
        )
    settings = {**known.configuration, **wanted.configuration}
    moved: set[str] = set()
    if changed_space(known, wanted):
        names = [*known.space["parameters"], *wanted.space["parameters"]]
        moved = {recipe.path(name) for name in names}
    differing = [
        path
        for path in settings
        if known.configuration.get(path) != wanted.configuration.get(path)
        and path != "goal"  # may be written with or without its direction
        and not _is_searched(path, moved)
    ]
    if differing:
        raise StudyError(
            f"the study {name!r} was begun with another configuration: "
            f"{_changes(known, wanted, differing[:5])}",
            expected="the same configuration, since scores would not compare",
            remedy="Choose another --name; a study that begins at the best configuration of this "
            f"one: tunewright tune --from {shlex.quote(name)} --name NEW, with the same overrides.",
        )


def _other_data(
    name: str, known: Settings, wanted: Settings, replaced: Sequence[str]
) -> StudyError:
    """Return the error over other data, which names the keys that differ, if any do."""
    was = known.configuration
    keys = [
        path
        for path, value in wanted.configuration.items()
        if path.startswith("data.") and path in was and was[path] != value
    ]
    remedy = "Choose another --name, or restore the original data."
    if "data.dir" in keys:
        before = was["data.dir"]
        typed = f"Type data.dir={quote_override(before)}" if before else "Leave data.dir out"
        remedy = f"{typed} to go on with it, or choose another --name."
    changed = _changes(known, wanted, keys) or f"{', '.join(replaced)} changed since"
    return StudyError(
        f"the study {name!r} was begun on other data: {changed}",
        expected="the same, since scores would not compare",
        remedy=remedy,
    )


def _changes(known: Settings, wanted: Settings, paths: Sequence[str]) -> str:
    return "; ".join(
        f"{p} was {known.configuration.get(p)} and is now {wanted.configuration.get(p)}"
        for p in paths
    )


def upgrade_settings(known: Settings, wanted: Settings, recipe: Recipe) -> Settings:
    """Return settings stored by an older version, with defaults for the ones it did not know."""
    defaults = flatten(recipe.config.model_construct().model_dump())
    new = {path: v for path, v in defaults.items() if path in wanted.configuration}
    return replace(known, configuration=new | dict(known.configuration))


def shared_settings(recipe: Recipe, explore: Tree, space: Space) -> dict[str, Any]:
    """Return the settings that all trials share, as they are compared on a resume."""
    searched = {recipe.path(p.path) for p in space.parameters}
    return {
        path: value
        for path, value in flatten(explore).items()
        if not path.startswith(NOT_COMPARED) and not _is_searched(path, searched)
    }


def _is_searched(path: str, searched: Collection[str]) -> bool:
    """Return whether a setting is searched, or lies in a section whose kind is searched."""
    kinds = (other.removesuffix("type") for other in searched if other.endswith(".type"))
    return path in searched or any(path.startswith(kind) for kind in kinds)


def _advice(space: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `avoid` rules by which trials are tagged, without their reasons."""
    return {rule["name"]: rule["when"] for rule in space.get("avoid", ())}


def _domain(path: str, parameters: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what decides the values of a parameter, besides its default.

    Of its conditions, only what can differ between trials: the kinds of a section that have a key
    become more with each version, and the space may choose among two of them.
    """
    if path not in parameters:
        return None
    fields = {k: v for k, v in parameters[path].items() if k not in ("default", "when")}
    when = {
        other: [v for v in among if v in parameters[other].get("choices", among)]
        if isinstance(among, list)
        else among
        for other, among in parameters[path].get("when", {}).items()
        if other in parameters
    }
    return fields | ({"when": when} if when else {})
