"""The command `narrow`: the space of the next stage, from the trials of a study."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewright.cli.command import JSON, command
from tunewright.cli.commands.study import Storage, Study
from tunewright.cli.options import RUNS, SEARCH, RunsDir
from tunewright.errors import UsageError

if TYPE_CHECKING:
    from tunewright.analysis.narrowing.narrowing import Narrowing

KEEP = 0.15


@command(SEARCH, prints="narrowing:print_narrowing", switches=[JSON])
def narrow(
    study: Study = None,
    *,
    keep: Annotated[
        float, typer.Option("--keep", help="Share of the trials, the best, whose range stays.")
    ] = KEEP,
    regions: Annotated[
        int, typer.Option("--regions", help="Groups of good trials to write a space for each.")
    ] = 1,
    lock: Annotated[
        bool, typer.Option("--lock", help="Fix parameters that make no difference.")
    ] = False,
    metric: Annotated[
        str | None, typer.Option("--metric", help="The goal to narrow for, of several.")
    ] = None,
    write: Annotated[
        Path | str | None, typer.Option("--write", help="Write the space file, for tune --space.")
    ] = None,
    storage: Storage = None,
    name: Annotated[
        str | None, typer.Option("--name", "--study-name", help="Name of the study.")
    ] = None,
    runs_dir: RunsDir = RUNS,
) -> "Narrowing":
    """Narrow a study's space for a second search, and widen it at edges.

    Nothing is written into the study, which may be running; --storage reads any Optuna study. What
    would be cut is shown: how many trials lie outside, and the best score among them.

    In Python, return the parameters before and after, the space and the files. Raises StudyError
    where the trials say nothing. See `analysis.narrowing.narrow.narrow`.
    """
    from tunewright.search.read_study import read_study

    named = None if study is None else str(study)
    view = read_study(named, storage=storage, name=name, runs=Path(runs_dir))
    found = view.narrow(keep=keep, lock=lock, regions=regions, metric=metric)
    if write is None:
        return found
    file = Path(write).expanduser()
    if view.folder is not None and file.resolve() == view.folder.space.resolve():
        raise UsageError(
            f"--write {file}, the space of the study itself",
            expected="another file: the study goes on with its own space",
        )
    return replace(found, files=tuple(found.write_all(file)))
