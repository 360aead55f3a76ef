"""The declaration of `function`, which runs only with a function that the caller passes."""

from dataclasses import replace
from pathlib import Path

from tunewright.config.schema import RunConfig
from tunewright.errors import UsageError
from tunewright.recipes.function.call import Call, Function
from tunewright.recipes.function.config import FunctionConfig
from tunewright.recipes.function.objective import CallObjective, Objective
from tunewright.recipes.function.wandb_function import CallWandbFunction, WandbFunction
from tunewright.recipes.recipe import Recipe

HERE = Path(__file__).parent


def bind_function(function: Function) -> Recipe:
    """Return the recipe bound to the caller's function object; files never name code to run."""
    return replace(RECIPE, run=Call(function), check_data=_nothing_to_check)


def bind_objective(objective: Objective) -> Recipe:
    """Return the recipe bound to an Optuna objective, which suggests its own parameters."""
    run = CallObjective(objective)
    return replace(RECIPE, run=run, check_data=_nothing_to_check, define_by_run=True)


def bind_wandb_function(function: WandbFunction) -> Recipe:
    """Return the recipe bound to a function that `wandb.agent` would call."""
    return replace(RECIPE, run=CallWandbFunction(function), check_data=_nothing_to_check)


def _refuse(config: RunConfig) -> list[str]:
    assert isinstance(config, FunctionConfig)
    raise UsageError(
        f"a configuration of the function {config.function or '(none)'}",
        expected="the function itself, since files never name code to import",
        remedy="Call it with the values under `params`, or search with "
        "tunewright.tune(function, space) in Python.",
    )


def _nothing_to_check(_config: RunConfig) -> list[str]:
    return []


RECIPE = Recipe(
    name="function",
    config=FunctionConfig,
    conf=HERE / "conf",
    space=None,
    metrics={},
    run="tunewright.recipes.function.call:without_function",
    open_section="params",
    usage="Complete: `params` are the arguments of your function; there is nothing else to train.",
    check_data=_refuse,
)
