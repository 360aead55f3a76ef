"""Recipes by name: the shipped ones and those that installed packages declare."""

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from tunewright.errors import ConfigError, UsageError, did_you_mean
from tunewright.recipes.recipe import Recipe
from tunewright.registry import load_plugin, plugin_names
from tunewright.runs.folder import RunFolder

GROUP = "tunewright.recipes"
"""Entry-point group in which other packages offer a `Recipe`."""


def recipe_names() -> list[str]:
    """Return all recipe names, without importing the recipes."""
    return sorted({*shipped_names(), *plugin_names(GROUP)})


@cache
def find_recipe(name: str, *, where: str = "") -> Recipe:
    """Return the recipe called `name`; a package cannot replace a shipped one.

    where: the file that names it, if it was not typed. Raises UsageError with the nearest name if
    there is none, ConfigError for a package whose recipe cannot be imported or is not a `Recipe`.
    """
    if name in shipped_names():
        shipped: Recipe = importlib.import_module(f"tunewright.recipes.{name}.recipe").RECIPE
        return shipped
    if name not in recipe_names():
        raise UsageError(
            f"recipe {name!r}",
            expected=f"one of {', '.join(recipe_names())}, or a configuration file",
            where=where,
            remedy=did_you_mean(name, recipe_names()),
        )
    declared = load_plugin(GROUP, name)
    if not isinstance(declared, Recipe):
        raise ConfigError(
            f"the entry point {name!r} of {GROUP} is a {type(declared).__name__}",
            expected="a tunewright.recipes.recipe.Recipe",
            remedy="Let it point to the declaration, such as `my_recipe.recipe:RECIPE`.",
        )
    return declared


@cache
def shipped_names() -> frozenset[str]:
    """Return the names of the recipes that come with the package, without importing them."""
    folder = str(Path(__file__).parent)
    return frozenset(m.name for m in pkgutil.iter_modules([folder]) if m.ispkg)


def can_evaluate(run: RunFolder) -> bool:
    """Return whether the recipe of a run has an evaluation, as a script has none."""
    recipe = run.read_config().get("recipe") if run.config.exists() else None
    return recipe in recipe_names() and find_recipe(str(recipe)).offers("evaluate")
