"""What a named fidelity does beside the values that it sets: its check, and its fractions."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tunewright.config.apply import with_values
from tunewright.config.compose import Composition
from tunewright.config.schema import RunConfig
from tunewright.config.sources import source_of
from tunewright.config.tree import get
from tunewright.errors import ConfigError, SpaceError
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.several_processes import check_processes
from tunewright.spaces.read import SpaceFile


def check_before_training(recipe: Recipe, config: RunConfig) -> list[str]:
    """Check the data and the fidelity of a training; return notices.

    Raises DataError and ConfigError for what cannot be trained.
    """
    check_processes(recipe, config)
    notices = recipe.check_data(config)
    if config.fidelity is not None:
        notices = [*notices, *recipe.fidelities[config.fidelity].check(config)]
    return notices


def check_single_run(recipe: Recipe, config: RunConfig) -> list[str]:
    """Check a training that no search has begun as `check_before_training`, and its command."""
    return [*check_before_training(recipe, config), *recipe.check_run(config, None)]


def convert_steps(recipe: Recipe, composed: Composition) -> Composition:
    """Return a configuration whose steps of the full run are fractions, as its fidelity asks.

    Raises ConfigError for as many steps as the full run has, or more.
    """
    converted: dict[str, float] = {}
    notices = list(composed.notices)
    for path, steps_of in _fractions(recipe, composed.config).items():
        value = get(composed.tree, path)
        if not _counts_steps(value):
            continue
        total = steps_of(composed.config)
        if value >= total:
            raise ConfigError(
                f"{path} = {value:g} steps, and the full run has {total:,}",
                expected="fewer steps than the full run",
                where=str(source_of(composed.sources, path)),
                remedy=f"Set {path}=0.1, a tenth of any run.",
            )
        converted[path] = _share(value, total)
        notices.append(
            f"{path} = {value:g} of the {total:,} steps of the full run is taken as the fraction "
            f"{converted[path]:g}, since fidelity = {composed.config.fidelity}"
        )
    if not converted:
        return composed
    tree, config = with_values(composed.tree, converted, recipe.config)
    return replace(composed, tree=tree, config=config, notices=tuple(notices))


def convert_space(
    recipe: Recipe, config: RunConfig, given: SpaceFile | None
) -> tuple[SpaceFile | None, list[str]]:
    """Return a space whose steps of the full run are fractions, as the fidelity asks; and notices.

    Choices of as many steps as the full run has, or more, are excluded and named; a range ends
    before them. Raises SpaceError where nothing is left.
    """
    parameters, notices = dict(given.parameters) if given is not None else {}, []
    for path, steps_of in _fractions(recipe, config).items():
        fields = parameters.get(path)
        if fields is None:
            continue
        written = [*fields.get("choices", []), fields.get("low"), fields.get("high")]
        if not any(map(_counts_steps, [*written, fields.get("default")])):
            continue
        total = steps_of(config)
        if excluded := [v for v in written if _counts_steps(v) and v >= total]:
            notices.append(
                f"{path}: {', '.join(f'{v:g}' for v in excluded)} excluded, since the full run has "
                f"{total:,} steps"
            )
        parameters[path] = _as_fractions(path, fields, total, given)
        shown = ", ".join(f"{v:g}" for v in written if v is not None and v not in excluded)
        notices.append(
            f"{path}: the steps {shown} are taken as fractions of the {total:,} steps of the full "
            f"run, since fidelity = {config.fidelity}"
        )
    return (given if given is None else replace(given, parameters=parameters)), notices


def _as_fractions(
    path: str, fields: Mapping[str, Any], total: int, given: SpaceFile | None
) -> dict[str, Any]:
    changed = {key: v for key, v in fields.items() if key not in ("step", "type")}
    where = given.where.get(path, "") if given is not None else ""
    if "choices" in fields:
        changed["choices"] = [
            _share(v, total) for v in fields["choices"] if not (_counts_steps(v) and v >= total)
        ]
        empty = not changed["choices"]
        changed["type"] = "categorical"
    else:
        empty = fields.get("low", 0) >= total
        changed["type"] = "float"
        for end in {"low", "high"} & fields.keys():
            changed[end] = _share(min(fields[end], total - 1), total)
    if empty:
        raise SpaceError(
            f"no value of {path} is shorter than the full run, which has {total:,} steps",
            where=where,
            remedy="Give fractions below 1 instead of steps.",
        )
    default = fields.get("default")
    if default is not None:
        changed["default"] = _share(min(default, total - 1), total)
    return changed


def _fractions(recipe: Recipe, config: RunConfig) -> Mapping[str, Callable[[Any], int]]:
    named = None if config.fidelity is None else recipe.fidelities[config.fidelity]
    return {} if named is None else named.fractions


def _counts_steps(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 1


def _share(value: Any, total: int) -> float:
    return round(value / total, 4) if _counts_steps(value) else float(value)
