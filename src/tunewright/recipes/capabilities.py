"""Look up what a recipe offers besides a training."""

import contextlib
from pathlib import Path

from tunewright.errors import ConfigError, DataError
from tunewright.recipes.recipe import CAPABILITIES, Recipe
from tunewright.recipes.registry import find_recipe, recipe_names


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
