"""Read the trials of a study as results; several studies, of one lambda each, are joined."""

from collections.abc import Iterator
from pathlib import Path

from tunewright.analysis.grid.run_result import RunResult, Value, plain_value
from tunewright.config.tree import Tree, get
from tunewright.deliver.results.parameter_names import (
    LAMBDA,
    NAMES,
    canonical_name,
    canonical_parameters,
)
from tunewright.deliver.results.result_set import ResultSet
from tunewright.errors import StudyError
from tunewright.recipes.compression.lambdas import weight_of
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.record import Trial, TrialState
from tunewright.search.read_study import read_study
from tunewright.search.reporting.study_view import StudyView

RECIPE = "compression"


def read_study_results(folder: Path) -> ResultSet:
    """Return a result for each run of a study of `compression`, one for each seed of a trial.

    The metrics are those of the checkpoint that the study kept, at the step where its goal is best.
    Trials that have not ended, were pruned or failed are counted in a notice.
    """
    try:
        view = read_study(str(folder))
    except StudyError as error:
        return ResultSet(notices=(f"{folder} cannot be read as a study: {error.came}",))
    if view.record.recipe != RECIPE:
        return ResultSet(notices=(f"{folder} is a study of {view.record.recipe}: left out",))
    fixed = _fixed(view.configuration or {})
    results = tuple(
        result
        for trial in view.record.of_state("done")
        for result in trial_results(view, trial, fixed, str(folder))
    )
    states: tuple[TrialState, ...] = ("pruned", "infeasible", "failed", "paused", "running")
    others = {state: len(view.record.of_state(state)) for state in states}
    counts = ", ".join(f"{count} {state}" for state, count in others.items() if count)
    return ResultSet(results, (f"{folder}: {counts} trials are left out",) if counts else ())


def trial_results(
    view: StudyView, trial: Trial, fixed: dict[str, Value], where: str
) -> Iterator[RunResult]:
    """Yield a result for each run of a trial. fixed: parameters that its study does not search."""
    given = {**fixed, **canonical_parameters(trial.parameters)}
    if "loss.quality" in given:
        given[LAMBDA] = _lambda({"loss": {"quality": given.pop("loss.quality")}})
    name = f"{where}, trial {trial.number}"
    folders = [] if view.folder is None else _runs(view.folder, trial)
    found = False
    for run in folders:
        outcome = run.read_outcome()
        if outcome is not None and outcome.metrics:
            found = True
            source = name if len(folders) == 1 else f"{name}, {run.path.name}"
            yield RunResult(source, given, ((outcome.best_step, dict(outcome.metrics)),))
    if not found and trial.score is not None:  # carried over, or read without its folder
        metrics = {**trial.metrics, **trial.others, view.record.goal: trial.score}
        yield RunResult(name, given, ((None, metrics),))


def _runs(folder: StudyFolder, trial: Trial) -> list[RunFolder]:
    return [] if trial.imported_from else folder.trial(trial.number).with_seeds()


def _fixed(tree: Tree) -> dict[str, Value]:
    """Return lambda, gamma and w_lr as the study's configuration fixes them."""
    found: dict[str, Value] = {}
    for path in (one for names in NAMES.values() for one in names if "." in one):
        if (value := get(tree, path)) is not None:
            found.setdefault(canonical_name(path), plain_value(value))
    found[LAMBDA] = _lambda(tree)
    return found


def _lambda(tree: Tree) -> Value:
    kind = str(get(tree, "loss.type", "mse"))
    quality, given = get(tree, "loss.quality"), get(tree, "loss.lmbda")
    level = None if quality is None else int(float(quality))
    return plain_value(weight_of(kind, None if given else level, given, off_table=True).lmbda)
