"""Recipes by name: the shipped ones and those that installed packages declare."""

import contextlib
import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from tunewright.errors import ConfigError, DataError, UsageError, did_you_mean
from tunewright.recipes.recipe import CAPABILITIES, Recipe

GROUP = "tunewright.recipes"
"""Entry-point group in which other packages offer a `Recipe`."""


def recipe_names() -> list[str]:
    """Return all recipe names, without importing the recipes."""
    shipped = [m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.ispkg]
    return sorted({*shipped, *(point.name for point in entry_points(group=GROUP))})


@cache
def find_recipe(name: str, *, where: str = "") -> Recipe:
    """Return the recipe called `name`; raises UsageError with the nearest name if there is none.

    where: the file that names it, if it was not typed.
    """
    for point in entry_points(group=GROUP):
        if point.name == name:
            declared: Recipe = point.load()
            return declared
    if name not in recipe_names():
        raise UsageError(
            f"recipe {name!r}",
            expected=f"one of {', '.join(recipe_names())}, or a configuration file",
            where=where,
            remedy=did_you_mean(name, recipe_names()),
        )
    shipped: Recipe = importlib.import_module(f"tunewright.recipes.{name}.recipe").RECIPE
    return shipped


def find_capability(recipe: Recipe, name: str, *, run: Path | None = None) -> str:
    """Return the `module:function` of a recipe's capability.

    run: the folder whose recipe it is. Raises DataError for a run of a recipe without the
    capability, ConfigError for such a recipe; both name the recipes that have it.
    """
    if recipe.offers(name):
        return recipe.capabilities[name]
    able = " or ".join(recipes_with(name)) or f"a recipe that offers {name!r}"
    error = ConfigError if run is None else DataError
    raise error(
        f"the recipe {recipe.name} {CAPABILITIES.get(name, f'does not offer {name!r}')}",
        expected=able if run is None else f"a run of {able}",
        where=str(run or ""),
    )


def recipes_with(capability: str) -> list[str]:
    """Return the names of the recipes that have a capability; one that fails to import has none."""
    found = []
    for name in recipe_names():
        with contextlib.suppress(Exception):
            if find_recipe(name).offers(capability):
                found.append(name)
    return found
