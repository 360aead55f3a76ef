"""The declaration of `command`: tune any script by its arguments and what it reports."""

from pathlib import Path

from tunewright.recipes.command.config import CommandConfig
from tunewright.recipes.recipe import Recipe

HERE = Path(__file__).parent

RECIPE = Recipe(
    name="command",
    config=CommandConfig,
    conf=HERE / "conf",
    space=None,
    metrics={},
    run="tunewright.recipes.command.run:run_command",
    open_section="params",
)
