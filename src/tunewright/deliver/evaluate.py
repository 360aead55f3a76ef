"""`tunewright evaluate`: a run by its folder, its study's folder or its name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.config.check import checked
from tunewright.deliver.saying import Told, silent
from tunewright.errors import DataError, UsageError
from tunewright.executors.machine import share
from tunewright.recipes.find import find_recipe
from tunewright.runs.atomic import read_json
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.search.evaluation import evaluated, evaluated_on


def evaluate(
    run: Path | str,
    *,
    split: str | None = None,
    data: Path | str | None = None,
    runs: Path = Path("runs"),
    told: Told | None = None,
) -> tuple[RunFolder, Mapping[str, Any]]:
    """Measure a trained run; a study's folder stands for its final run, else its best trial.

    data: what it is measured on in place of a split of its own, where its recipe can. told:
    called with what is being done, how much is done, and how much there is. Raises DataError
    when there is no trained run, UsageError for data that the recipe cannot be measured on.
    """
    if split is not None and data is not None:
        raise UsageError(
            f"--split {split} and --data {data}",
            expected="one of them: a split of the run's own data, or other data",
        )
    folder = find_run(Path(run), runs)
    tree = folder.read_config()
    recipe = find_recipe(str(tree.get("recipe")))
    config = checked(tree, recipe.config)
    machine = share(config.executor, None)
    if data is None:
        result = evaluated(recipe, folder, config, machine, split)
        if result is None:
            raise DataError(f"the recipe {recipe.name} has nothing to evaluate")
        return folder, result
    if not recipe.evaluate_on:
        raise UsageError(
            f"--data {data}, and {folder.path} is a run of {recipe.name}",
            expected="a recipe that is measured on a folder, such as compression",
            remedy="Runs of this one are measured on their own data: --split train, valid or test."
            + (" tunewright predict --data labels other pictures." if recipe.classifier else ""),
        )
    where = Path(data).expanduser().absolute()
    return folder, evaluated_on(recipe, folder, config, machine, where, told or silent)


def find_run(run: Path, runs: Path) -> RunFolder:
    """The run folder that is meant; of several seeds or final runs, the one that was named.

    run: the folder, its study's, a name in `runs`, or the weights that lie in it.
    """
    if run.suffix == ".safetensors":
        run = run.parent.parent
    for path in (run, runs / run, runs / f"train-{run}"):
        best = read_json(StudyFolder(path).best_results)
        if best is not None and not (path / "final").exists():  # its best trial keeps its weights
            path = StudyFolder(path).trial(int(best["trial"])).path
        for place in (path, path / "final"):
            if (place / "config.yaml").exists() and (place / "checkpoints").exists():
                return RunFolder(place)
        seeds = sorted(path.glob("seed-*")) or sorted(path.glob("final/seed-*"))
        if seeds:
            raise DataError(
                f"{path} holds {len(seeds)} runs",
                expected=f"one of them, for example {seeds[0]}",
            )
    raise DataError(
        f"no trained run in {run}",
        expected="a folder with config.yaml and checkpoints, or a study with a final run",
        remedy="A study's losers keep no weights: evaluate its `final`, or train first.",
    )
