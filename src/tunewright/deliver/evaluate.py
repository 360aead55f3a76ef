"""`tunewright evaluate`: the metrics of a trained run."""

from dataclasses import replace
from pathlib import Path

from tunewright.config.check import validate
from tunewright.deliver.find_run import ENSEMBLE, NamedRun, find_run, newest_run, places
from tunewright.deliver.progress import ProgressCallback, progress_or_default
from tunewright.errors import DataError, UsageError
from tunewright.recipes.capabilities import find_capability, recipes_with
from tunewright.recipes.registry import find_recipe
from tunewright.search.evaluate_run import Evaluation, evaluate_run, evaluate_run_on


def evaluate(
    run: Path | str | None = None,
    *,
    split: str | None = None,
    data: Path | str | None = None,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> Evaluation:
    """Measure a trained run; a study's folder stands for its final run, else its best trial.

    run: as `find_run` takes it; None is the newest one. data: a folder to measure it on instead of
    a split of its own data, where its recipe can. on_progress: None shows it on standard error.
    Raises DataError when there is no trained run,
    UsageError for data that the recipe cannot be measured on.
    """
    if split is not None and data is not None:
        raise UsageError(
            f"--split {split} and --data {data}",
            expected="one of them: a split of the run's own data, or other data",
        )
    named = _measurable_run(run, runs)
    folder = named.folder
    tree = folder.read_config()
    recipe = find_recipe(str(tree.get("recipe")))
    config = validate(tree, recipe.config)
    if data is None or not recipe.offers("evaluate_on"):
        find_capability(recipe, "evaluate", run=folder.path)
    if data is None:
        result = evaluate_run(recipe, folder, config, split)
        if result is None:
            raise DataError(f"the recipe {recipe.name} has no evaluation")
        return _with_notes(result, named.notes)
    if not recipe.offers("evaluate_on"):
        raise UsageError(
            f"--data {data} with {folder.path}, a run of {recipe.name}",
            expected=f"a run of {' or '.join(recipes_with('evaluate_on'))}",
            remedy="Its runs are evaluated on their own data: --split train, valid or test."
            + (
                " tunewright predict --data labels other pictures."
                if recipe.offers("classifier")
                else ""
            ),
        )
    where = Path(data).expanduser().absolute()
    with progress_or_default(on_progress) as report:
        return _with_notes(evaluate_run_on(recipe, folder, config, where, report), named.notes)


def _measurable_run(run: Path | str | None, runs: Path) -> NamedRun:
    if run is None:
        return newest_run(
            runs,
            lambda recipe: recipe.offers("evaluate"),
            kind="run",
            expected="one that can be evaluated",
        )
    path = Path(run).expanduser()
    for place in places(path, runs):
        if (place / ENSEMBLE).is_file():
            raise DataError(
                f"{place} is an ensemble",
                expected="one run",
                remedy=f"{place / ENSEMBLE} says what it is worth on the validation set; evaluate "
                "its runs one by one.",
            )
    return find_run(path, runs)


def _with_notes(found: Evaluation, notes: tuple[str, ...]) -> Evaluation:
    return replace(found, figures={**found.figures, "notes": [*notes, *found.notes]})
