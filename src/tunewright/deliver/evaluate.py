"""`tunewright evaluate`: the metrics of a trained run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.config.check import validate
from tunewright.deliver.find_run import ENSEMBLE, NamedRun, find_run, newest_run, places
from tunewright.deliver.progress import ProgressCallback, no_progress
from tunewright.errors import DataError, UsageError
from tunewright.recipes.capabilities import find_capability, recipes_with
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.search.evaluate_run import evaluate_run, evaluate_run_on


def evaluate(
    run: Path | str | None = None,
    *,
    split: str | None = None,
    data: Path | str | None = None,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> tuple[RunFolder, Mapping[str, Any]]:
    """Measure a trained run; a study's folder stands for its final run, else its best trial.

    run: as `find_run` takes it; None is the newest one. data: a folder to measure it on instead of
    a split of its own data, where its recipe can. Raises DataError when there is no trained run,
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
    if data is None:
        find_capability(recipe, "evaluate", run=folder.path)
        result = evaluate_run(recipe, folder, config, split)
        return folder, _with_notes(result or {}, named.notes)
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
    result = evaluate_run_on(recipe, folder, config, where, on_progress or no_progress)
    return folder, _with_notes(result, named.notes)


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


def _with_notes(result: Mapping[str, Any], notes: tuple[str, ...]) -> Mapping[str, Any]:
    return {**result, "notes": [*notes, *result.get("notes", [])]}
