"""Selects a trained compressor: a run, a file inside one, or the newest one."""

from pathlib import Path

from tunewright.deliver.find_run import (
    NamedRun,
    find_run,
    newest_folders,
    newest_run,
    recipe_of,
)
from tunewright.deliver.select_runs import Member, RunSelection, threads
from tunewright.recipes.capabilities import find_capability
from tunewright.runs.folder import RunFolder


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


def every_compressor(runs: Path) -> list[Member]:
    """Return the compressors in `runs`, the newest first."""
    folders = newest_folders(runs, lambda recipe: recipe.offers("compressor"))
    return [_member(folder) for folder in folders]


def _of(run: NamedRun) -> RunSelection:
    one = _member(run.folder)
    return RunSelection(one.path, (one,), threads=threads(run.folder), notes=run.notes)


def _member(folder: RunFolder) -> Member:
    opener = find_capability(recipe_of(folder), "compressor", run=folder.path)
    return Member(folder.path.resolve(), opener)
