"""Selects a trained compressor: a run, a file inside one, or the newest one."""

from pathlib import Path

from tunewright.deliver.find_run import (
    NamedRun,
    find_run,
    newest_run,
    recipe_of,
)
from tunewright.deliver.select_runs import Member, RunSelection, threads
from tunewright.errors import DataError

EXPECTED = "a run of a recipe that compresses pictures"


def select_compressor(run: Path | str | None, runs: Path) -> RunSelection:
    """Return the compressor that --run names; without it, the newest run that compresses.

    run: a run or study folder, a name in `runs`, or the weights inside one. Raises DataError for
    what is no trained compressor.
    """
    if run is not None:
        return _of(find_run(Path(run).expanduser(), runs))
    return _of(
        newest_run(
            runs, lambda recipe: bool(recipe.compressor), kind="compressor", expected=EXPECTED
        )
    )


def _of(run: NamedRun) -> RunSelection:
    folder, recipe = run.folder, recipe_of(run.folder)
    if not recipe.compressor:
        raise DataError(
            f"the recipe {recipe.name} does not compress pictures",
            expected=EXPECTED,
            where=str(folder.path),
        )
    one = Member(folder.path.resolve(), recipe.compressor)
    return RunSelection(one.path, (one,), threads=threads(folder), notes=run.notes)
