"""The declaration of `command`: tune any script by its arguments and what it reports."""

from pathlib import Path

from tunewright.config.schema import RunConfig
from tunewright.recipes.command.check import check_command
from tunewright.recipes.command.config import CommandConfig
from tunewright.recipes.recipe import Recipe
from tunewright.spaces.space import Space

HERE = Path(__file__).parent


def _check(config: RunConfig, space: Space | None) -> list[str]:
    assert isinstance(config, CommandConfig)
    return check_command(config, space)


def _repeats(config: RunConfig) -> str:
    assert isinstance(config, CommandConfig)
    if any("{seed}" in word for word in (*config.command, *config.env.values())):
        return ""
    return "neither the command nor its env holds {seed}, which would stand for a new one"


RECIPE = Recipe(
    name="command",
    config=CommandConfig,
    conf=HERE / "conf",
    space=None,
    metrics={},
    run="tunewright.recipes.command.run:run_command",
    open_section="params",
    check_run=_check,
    repeats=_repeats,
)
