"""How many replicates follow a search, from what it and its final training are worth."""

from tunewright.analysis.winner.race import LEAST, affordable_replicates
from tunewright.search.forecast.time_left import FinalStageCost


def count_trainings_after(closing: FinalStageCost, last_step: int) -> float:
    """Return how many trainings of a trial's length the final training is worth."""
    return closing.seeds * closing.steps * closing.cost / last_step


def count_replicates(trainings: float, closing: FinalStageCost, last_step: int) -> int:
    """Return the replicates at the most; 0 where they are too few to compare anything.

    trainings: how many whole ones the search is worth.
    """
    whole = trainings + count_trainings_after(closing, last_step)
    count = affordable_replicates(closing.replicate, whole)
    return count if count >= LEAST else 0
