"""The metrics of a study, and which end of each is the better one."""

from tunewright.analysis.importances import other_metrics
from tunewright.errors import UsageError, did_you_mean
from tunewright.recipes.direction import direction_of
from tunewright.recipes.registry import find_recipe, recipe_names
from tunewright.runs.record import Direction, Goal, StudyRecord


def study_metrics(record: StudyRecord) -> list[Goal]:
    """Return the metrics that finished trials have besides the score of the first goal."""
    return [_goal(record, name, None) for name in other_metrics(record)]


def find_metric(record: StudyRecord, typed: str) -> Goal:
    """Return the metric that was typed: as `NAME`, or with its direction as `NAME:max`.

    A name may lack its `val_`. Raises UsageError for a metric that no finished trial has.
    """
    known = [record.goal, *other_metrics(record)]
    name, _, end = typed.rpartition(":")
    written: Direction | None = "max" if end == "max" else "min" if end == "min" else None
    if typed in known or not name or written is None:
        name, written = typed, None
    for found in (name, f"val_{name}"):
        if found in known:
            return _goal(record, found, written)
    raise UsageError(
        f"no finished trial of {record.name!r} has the metric {name!r}",
        expected=f"one of {', '.join(known)}",
        remedy=did_you_mean(name, known),
    )


def _goal(record: StudyRecord, name: str, written: Direction | None) -> Goal:
    if own := next((goal for goal in record.goals if goal.metric == name), None):
        return own if written is None else Goal(name, written)
    if written is not None:
        return Goal(name, written)
    if record.recipe in recipe_names():
        return Goal(name, find_recipe(record.recipe).direction(name))
    return Goal(name, direction_of(name))
