"""Selects trained classifiers: a run, an ensemble, a file inside one, or the newest run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.config.check import validate
from tunewright.deliver.find_run import (
    ENSEMBLE,
    NamedRun,
    find_run,
    newest_run,
    places,
    recipe_of,
    run_or_checkpoint,
)
from tunewright.deliver.progress import ProgressCallback, progress_or_default
from tunewright.errors import DataError
from tunewright.executors.resources import threads_each
from tunewright.executors.subprocess_call import call
from tunewright.recipes.capabilities import find_capability
from tunewright.runs.atomic import read_json
from tunewright.runs.folder import RunFolder, StudyFolder


@dataclass(frozen=True)
class Member:
    """A run folder, and the `module:function` that opens what it has trained."""

    path: Path
    opener: str


@dataclass(frozen=True)
class RunSelection:
    """The runs to deliver: one, or several that are averaged.

    folder: of the run or of the ensemble, where results are written. threads: for torch; None is
    this process, with as many as it has. notes: what the user may not know about the runs.
    """

    folder: Path
    members: tuple[Member, ...]
    weights: tuple[float, ...] = (1.0,)
    average: str = "probabilities"
    threads: int | None = None
    notes: tuple[str, ...] = ()

    def single(self) -> RunFolder:
        """Return the run of a selection that is no ensemble."""
        (only,) = self.members
        return RunFolder(only.path)


def resolve_runs(
    run: Path | str | None, *, checkpoint: Path | str | None = None, runs: Path
) -> RunSelection:
    """Return what RUN or --checkpoint selects; without both, the newest run in `runs`.

    RUN: a run or study folder, an ensemble, a name in `runs`, or a file inside one of them.
    Raises DataError for what is no trained classifier, UsageError for both at once.
    """
    given = run_or_checkpoint(run, checkpoint, runs)
    if given is None:
        return newest(runs)
    path = Path(given).expanduser()
    for place in places(path, runs):
        file = place if place.is_file() else place / ENSEMBLE
        if file.is_file() and _is_ensemble(file):
            return _ensemble(file)
    return _of_run(find_run(path, runs))


def newest(runs: Path) -> RunSelection:
    """Return the run in `runs` with the newest weights, of those that can predict.

    Of a study, its final run, else its best trial. Raises DataError when there is none.
    """
    return _of_run(
        newest_run(
            runs,
            lambda recipe: recipe.offers("classifier"),
            kind="classifier",
            expected="a run of a recipe that classifies",
        )
    )


def of_study(path: Path, runs: Path) -> list[RunFolder] | None:
    """Return every run of a study that has weights, seeds included; None for what is no study."""
    study = study_of(path, runs)
    if study is None:
        return None
    folders = [RunFolder(trial) for trial in sorted(study.trials.glob("*"))]
    every = [run for folder in [*folders, study.final] for run in folder.with_seeds()]
    return [run for run in every if (run.checkpoints / "best.safetensors").exists()]


def study_of(path: Path, runs: Path) -> StudyFolder | None:
    """Return the study that a path, or a name in `runs`, stands for; None for what is no study."""
    found = map(StudyFolder, places(path, runs))
    return next((s for s in found if s.settings.exists() or s.trials.is_dir()), None)


def member(folder: RunFolder) -> Member:
    """Return the run as a member; raises DataError when its recipe has no classifier."""
    recipe = recipe_of(folder)
    opener = find_capability(recipe, "classifier", run=folder.path)
    return Member(folder.path.resolve(), opener)


def run_in_subprocess(
    selection: RunSelection,
    fn: Callable[..., Any],
    *arguments: Any,
    on_progress: ProgressCallback | None = None,
) -> Any:
    """Return `fn(selection, *arguments, on_progress)`, called in a process that may import torch.

    This is the present process for runs whose executor is `inline`, else a new one. on_progress:
    None shows it on standard error.
    """
    with progress_or_default(on_progress) as report:
        if selection.threads is None:
            return fn(selection, *arguments, report)
        return call(
            _ProgressAdapter(fn),
            selection,
            *arguments,
            threads=selection.threads,
            on_message=lambda message: report(*message),
        )


def threads(folder: RunFolder) -> int | None:
    """Return the CPU threads for work on a run; None where its executor is `inline`."""
    tree = folder.read_config()
    config = validate(tree, recipe_of(folder).config)
    return None if config.executor.type == "inline" else threads_each(config.executor)


@dataclass(frozen=True)
class _ProgressAdapter:
    """Calls `fn` in the new process; its progress is sent back as one message a call."""

    fn: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        *given, send = arguments
        return self.fn(*given, lambda *progress: send(progress))


def _of_run(run: NamedRun) -> RunSelection:
    one = member(run.folder)
    return RunSelection(one.path, (one,), threads=threads(run.folder), notes=run.notes)


def _is_ensemble(file: Path) -> bool:
    return file.name == ENSEMBLE or (file.suffix == ".json" and "runs" in (read_json(file) or {}))


def _ensemble(file: Path) -> RunSelection:
    stored = read_json(file)
    try:
        assert stored is not None
        names = [str(name) for name in stored["runs"]]
        weights = tuple(float(weight) for weight in stored["weights"])
        average = str(stored["average"])
        if not names or len(names) != len(weights) or abs(sum(weights) - 1.0) > 1e-6:
            raise ValueError
    except (AssertionError, KeyError, TypeError, ValueError):
        raise DataError(
            f"{file} is not an ensemble",
            expected="runs, weights (sum 1) and average, as tunewright ensemble writes them",
        ) from None
    # Runs are named from the file's own place, so that a folder of runs can be moved as a whole.
    found = [find_run(file.parent / name, file.parent) for name in names]
    members = tuple(member(run.folder) for run in found)
    notes = tuple(note for run in found for note in run.notes)
    return RunSelection(
        file.parent.resolve(), members, weights, average, threads(found[0].folder), notes
    )
