"""The cost of the final stage, in the units of the time forecast."""

import math

from tunewright.config.compose import Composition
from tunewright.executors.resources import Share
from tunewright.recipes.recipe import Recipe
from tunewright.search.forecast.time_left import FinalStageCost
from tunewright.search.prepare import PreparedStudy, stage

EVALUATION_SECONDS = 10.0
"""Assumed seconds of an evaluation until `plan` has measured one."""


def final_stage_cost(
    recipe: Recipe, composed: Composition, prepared: PreparedStudy, machine: Share
) -> FinalStageCost:
    """Return the cost of a study's final training and evaluation.

    The cost of a final epoch grows with its number of rows, where the recipe knows it. That the
    final training has more CPU threads than a trial is ignored.
    """
    if not prepared.config.study.trains_winner:
        study = prepared.config.study
        return FinalStageCost(report=study.report, replicate=study.replicate)
    tree, config = stage(recipe, composed, "final")
    cost = 1.0
    if tree.get("data") != prepared.explore.get("data"):
        rows = recipe.data_facts(config).get("rows", 0.0)
        fewer = recipe.data_facts(prepared.config).get("rows", 0.0)
        cost = rows / fewer if rows and fewer else 1.0
    seeds = max(1, len(config.seeds))
    rounds = math.ceil(seeds / min(seeds, machine.slots))
    evaluation = EVALUATION_SECONDS if recipe.offers("evaluate") else 0.0
    patience = config.training.patience
    return FinalStageCost(
        config.training.epochs,
        cost,
        rounds,
        evaluation,
        stops=patience is not None,
        alike=patience == prepared.config.training.patience,
        report=prepared.config.study.report,
        seeds=seeds,
        replicate=prepared.config.study.replicate,
    )
