"""What comes after the search, in the terms in which it is predicted."""

import math

from tunewright.config.compose import Composition
from tunewright.executors.resources import Share
from tunewright.recipes.recipe import Recipe
from tunewright.search.forecast.time_left import NO_FINAL_STAGE, FinalStageCost
from tunewright.search.prepare import PreparedStudy, stage

EVALUATION_SECONDS = 10.0
"""What an evaluation is believed to take until `plan` has measured one."""


def final_stage_cost(
    recipe: Recipe, composed: Composition, prepared: PreparedStudy, machine: Share
) -> FinalStageCost:
    """The final training and the evaluation of a study.

    An epoch of the final training is as dear as its rows are many, where the recipe knows its
    rows; that it has more CPU threads than a trial is not counted on.
    """
    if not prepared.config.study.final:
        return NO_FINAL_STAGE
    tree, config = stage(recipe, composed, "final")
    cost = 1.0
    if tree.get("data") != prepared.explore.get("data"):
        rows = recipe.data_facts(config).get("rows", 0.0)
        fewer = recipe.data_facts(prepared.config).get("rows", 0.0)
        cost = rows / fewer if rows and fewer else 1.0
    seeds = max(1, len(config.seeds))
    rounds = math.ceil(seeds / min(seeds, machine.slots))
    evaluation = EVALUATION_SECONDS if recipe.evaluate else 0.0
    return FinalStageCost(config.training.epochs, cost, rounds, evaluation)
