"""Selects a trained compressor: a run, a file inside one, or the newest one."""

from pathlib import Path

from tunewright.deliver.find_run import (
    NamedRun,
    find_run,
    newest_run,
    recipe_of,
)
from tunewright.deliver.select_runs import Member, RunSelection, threads
from tunewright.recipes.capabilities import find_capability


def select_compressor(run: Path | str | None, runs: Path) -> RunSelection:
    """Return the compressor that --run names; without it, the newest run that compresses.

    run: a run or study folder, a name in `runs`, or the weights inside one. Raises DataError for
    what is no trained compressor.
    """
    if run is not None:
        return _of(find_run(Path(run).expanduser(), runs))
    return _of(
        newest_run(
            runs,
            lambda recipe: recipe.offers("compressor"),
            kind="compressor",
            expected="a run of a recipe that compresses pictures",
        )
    )


def _of(run: NamedRun) -> RunSelection:
    folder, recipe = run.folder, recipe_of(run.folder)
    opener = find_capability(recipe, "compressor", run=folder.path)
    one = Member(folder.path.resolve(), opener)
    return RunSelection(one.path, (one,), threads=threads(folder), notes=run.notes)
