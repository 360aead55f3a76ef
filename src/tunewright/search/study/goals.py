"""The goals of a study, and notices about directions that were not typed."""

from tunewright.config.schema import RunConfig
from tunewright.recipes.recipe import Recipe
from tunewright.runs.record import COSTS, Goal
from tunewright.search.storage.database import Settings


def study_goals(
    recipe: Recipe, config: RunConfig, known: Settings | None
) -> tuple[tuple[Goal, ...], list[str]]:
    """Return the goals of a configuration, with notices about directions guessed from names.

    known: the stored study, which keeps the directions it began with: an older version took the
    largest loss. Raises ConfigError as `Recipe.goals` does.
    """
    stored = {goal.metric: goal.direction for goal in known.goals} if known else {}
    goals, notices = [], []
    for goal, written in zip(recipe.goals(config), config.goals, strict=True):
        metric, _, typed = written.partition(":")
        if not typed and not recipe.declares(metric):
            usual = goal.direction
            goal = Goal(metric, stored.get(metric, usual))
            if goal.direction != usual:
                notices.append(
                    f"the {_SIZE[goal.direction]} {metric} wins, as when this study began; a new "
                    f"study takes the {_SIZE[usual]}"
                )
            elif usual == "min" and metric not in COSTS:
                notices.append(
                    f"the smallest {metric} wins, because of its name ({metric}:min); use "
                    f"{metric}:max for the largest"
                )
        goals.append(goal)
    return tuple(goals), notices


_SIZE = {"min": "smallest", "max": "largest"}
