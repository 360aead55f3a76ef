"""The declaration of `function`, which runs only with a function that the caller passes."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tunewright.config.schema import RunConfig
from tunewright.errors import UsageError
from tunewright.recipes.function.call import Call, Function, takes_seed
from tunewright.recipes.function.config import FunctionConfig
from tunewright.recipes.function.objective import CallObjective, Objective
from tunewright.recipes.function.wandb_function import CallWandbFunction, WandbFunction
from tunewright.recipes.recipe import Recipe

HERE = Path(__file__).parent


def bind_function(function: Function) -> Recipe:
    """Return the recipe bound to the caller's function object; files never name code to run."""
    run = Call(function)
    return replace(
        RECIPE, run=run, check_data=_nothing_to_check, repeats=partial(_repeats, function)
    )


def bind_objective(objective: Objective) -> Recipe:
    """Return the recipe bound to an Optuna objective, which suggests its own parameters."""
    run = CallObjective(objective)
    return replace(
        RECIPE,
        run=run,
        check_data=_nothing_to_check,
        repeats=partial(_repeats, objective),
        define_by_run=True,
    )


def bind_wandb_function(function: WandbFunction) -> Recipe:
    """Return the recipe bound to a function that `wandb.agent` would call."""
    run = CallWandbFunction(function)
    return replace(
        RECIPE, run=run, check_data=_nothing_to_check, repeats=partial(_repeats, function)
    )


def _refuse(config: RunConfig) -> list[str]:
    assert isinstance(config, FunctionConfig)
    raise UsageError(
        f"a configuration of the function {config.function or '(none)'}",
        expected="the function itself, since files never name code to import",
        remedy="Call it with the values under `params`, or search with "
        "tunewright.tune(function, space) in Python.",
    )


def _repeats(function: Callable[..., Any], _config: RunConfig) -> str:
    if takes_seed(function):
        return ""
    return (
        "the function has no parameter named seed, so that they differ only by what it draws from "
        "the generators of Python, NumPy and torch"
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
