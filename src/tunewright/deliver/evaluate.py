"""`tunewright evaluate`: a run by its folder, its study's folder or its name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.config.check import checked
from tunewright.errors import DataError
from tunewright.executors.machine import share
from tunewright.recipes.find import find_recipe
from tunewright.runs.atomic import read_json
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.search.evaluation import evaluated


def evaluate(
    run: Path | str, *, split: str | None = None, runs: Path = Path("runs")
) -> tuple[RunFolder, Mapping[str, Any]]:
    """Measure a trained run; a study's folder stands for its final run, else its best trial.

    Raises DataError when there is no trained run.
    """
    folder = find_run(Path(run), runs)
    tree = folder.read_config()
    recipe = find_recipe(str(tree.get("recipe")))
    config = checked(tree, recipe.config)
    result = evaluated(recipe, folder, config, share(config.executor, None), split)
    if result is None:
        raise DataError(f"the recipe {recipe.name} has nothing to evaluate")
    return folder, result


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
