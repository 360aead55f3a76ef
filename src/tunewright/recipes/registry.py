"""Recipes by name: the shipped ones and those that installed packages declare."""

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from tunewright.errors import UsageError, did_you_mean
from tunewright.recipes.recipe import Recipe

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
