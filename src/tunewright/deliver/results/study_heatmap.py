"""A heat map of any study: its goal, or another metric, by the values of two parameters."""

from collections.abc import Sequence
from pathlib import Path

from tunewright.analysis.grid.heat_map import HeatMap, Point, heat_map
from tunewright.analysis.grid.run_result import goal_of, plain_value
from tunewright.analysis.overview import searched_paths
from tunewright.deliver.results.parameter_names import find_name
from tunewright.errors import StudyError, UsageError, did_you_mean
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.registry import find_recipe, recipe_names
from tunewright.reports.heat_map import write_heat_map
from tunewright.reports.picture_files import check_output
from tunewright.runs.atomic import read_yaml
from tunewright.runs.record import Goal, StudyRecord, Trial
from tunewright.search.reporting.study_view import StudyView


def heat_map_names(written: str) -> tuple[str, str]:
    """Return the two parameters in `gamma,w_lr`; raises UsageError for anything else."""
    names = [name.strip() for name in written.split(",")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise UsageError(
            f"--heatmap {written}",
            expected="two parameters, as in --heatmap gamma,w_lr",
        )
    return names[0], names[1]


def write_study_heat_map(
    view: StudyView, names: tuple[str, str], metric: str | None, output: Path | None
) -> tuple[HeatMap, list[Path]]:
    """Write the heat map of a study; return it and its files.

    output: the file, whose suffix is the format, or None for PNG and HTML in the study's folder.
    Raises UsageError for parameters that the study does not search, StudyError without a folder to
    write to.
    """
    if output is not None:
        check_output(output)
    found = study_heat_map(view, names, metric)
    if output is None:
        if view.folder is None:
            raise StudyError(
                f"the study {view.record.name!r} was read from a database without its folder",
                expected="a file for the heat map",
                remedy="Name one: --output heatmap.png.",
            )
        stem = f"heatmap-{'-'.join(names)}".replace("/", "-")
        files = [view.folder.path / f"{stem}{suffix}" for suffix in (".png", ".html")]
    else:
        files = [output]
    for file in files:
        write_heat_map(found, file)
    return found, files


def study_heat_map(view: StudyView, names: tuple[str, str], metric: str | None = None) -> HeatMap:
    """Average the finished trials of a study by two of its parameters.

    metric: None for the study's goal. Trials that were pruned, failed, or lack one of the
    parameters are left out, with a notice.
    """
    record = view.record
    searched = searched_paths(record)
    x, y = (_path(name, record, searched) for name in names)
    goal = _goal(record, metric)
    done = [(trial, _score(trial, goal, record)) for trial in record.of_state("done")]
    points = [
        Point(plain_value(trial.parameters[x]), plain_value(trial.parameters[y]), score)
        for trial, score in done
        if score is not None and x in trial.parameters and y in trial.parameters
    ]
    if not points:
        known = {name for trial, _ in done for name in trial.metrics} | {record.goal}
        raise StudyError(
            f"no finished trial of {record.name!r} has {names[0]}, {names[1]} and {goal.metric}",
            expected=f"finished trials, and one of the metrics {', '.join(sorted(known))}",
        )
    spec = {} if view.folder is None else read_yaml(view.folder.space).get("parameters") or {}
    x_log, y_log = (bool(spec[path].get("log")) if path in spec else None for path in (x, y))
    title = f"{record.name}: {goal.metric}, {len(points)} of {len(record.trials)} trials"
    return heat_map(points, (names[0], names[1]), goal, logarithmic=(x_log, y_log), title=title)


def _path(name: str, record: StudyRecord, searched: Sequence[str]) -> str:
    """Return the parameter that a name means: its path, the guide's name, or the path's end."""
    recipe = _recipe(record)
    aliased = name if recipe is None else recipe.dialect.aliases.get(name, name)
    path = find_name(name, searched) or find_name(aliased, searched)
    if path is None:
        raise UsageError(
            f"the study {record.name!r} has no parameter {name!r}",
            expected=f"one of {', '.join(searched)}" if searched else "a study with parameters",
            remedy=did_you_mean(name, searched),
        )
    return path


def _recipe(record: StudyRecord) -> Recipe | None:
    """Return the recipe of a study; None for one that Optuna's own users made."""
    return find_recipe(record.recipe) if record.recipe in recipe_names() else None


def _goal(record: StudyRecord, metric: str | None) -> Goal:
    if metric is None:
        return record.goals[0]
    own = next((goal for goal in record.goals if goal.metric == metric), None)
    if own is not None:
        return own
    recipe = _recipe(record)
    if recipe is not None and recipe.declares(metric):
        return Goal(metric, recipe.direction(metric))
    return goal_of(metric)


def _score(trial: Trial, goal: Goal, record: StudyRecord) -> float | None:
    if goal.metric == record.goal:
        return trial.score
    known = {**trial.metrics, **trial.others, **trial.costs}
    found = known.get(goal.metric)
    return known.get(f"val_{goal.metric}") if found is None else found
