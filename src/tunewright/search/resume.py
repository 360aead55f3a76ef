"""Resume a stopped study or training; its folder defines it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.config.check import validate
from tunewright.config.compose import Composition
from tunewright.config.schema import RunConfig
from tunewright.config.tree import Tree, copy_tree, flatten, set_leaf
from tunewright.errors import DataError, StudyError, UsageError
from tunewright.executors.resources import share
from tunewright.recipes.fidelity import check_single_run
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.scheduled_values import describe_extension
from tunewright.runs.ending import ending_of
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import read_progress
from tunewright.search.callbacks import StudyCallback
from tunewright.search.final import FullTraining, train_in_full
from tunewright.search.loop.lease import FolderLock
from tunewright.search.prepare import run_part
from tunewright.search.read_study import study_folder
from tunewright.search.storage.trusted_servers import refuse_stored_servers
from tunewright.search.study_file import read_study_file
from tunewright.search.training_run import TrainResult, is_done
from tunewright.search.transfer.trial_matching import differences
from tunewright.training.schedule import extension_notice

EPOCHS, PATIENCE = "training.epochs", "training.patience"
EVALUATION = "evaluation.json"
EXTENDING = (EPOCHS, PATIENCE)
"""Settings with which a run goes on after its end."""
Changes = Mapping[str, tuple[Any, Any]]
"""Paths with their former and present values."""


@dataclass(frozen=True)
class StoppedStudy:
    """A study as its folder describes it.

    runs: the folder of all runs, in which it lies. tree: its configuration. reserved: its reserved
    values, for kinds that only some trials choose.
    """

    folder: StudyFolder
    runs: Path
    tree: Tree
    reserved: Mapping[str, Any]


def find_stopped_study(study: str, runs: Path) -> StoppedStudy:
    """Return a study by its name under `runs` or by its folder.

    Raises StudyError for one that is not there, that was renamed, or whose database is lost, and
    UsageError for one of a Python function, since no file names code to import.
    """
    folder = study_folder(study, runs, "tune --resume")
    stored = read_study_file(folder)
    path, name = folder.path.absolute(), str(stored["name"])
    tree = copy_tree(stored["configuration"])
    if tree["recipe"] == "function":
        given = (stored.get("settings") or {}).get("space") or {}
        arguments = "OBJECTIVE" if given.get("define_by_run") else "FUNCTION, SPACE"
        raise UsageError(
            f"{folder.path} is a study of the Python function {tree.get('function')}",
            expected="a study of a recipe, since no file names code to import",
            remedy=f"Go on from Python: tunewright.tune({arguments}, name={name!r}), with the "
            "arguments of the first call.",
        )
    parts = Path(name).parts
    if path.parts[-len(parts) :] != parts:
        raise StudyError(
            f"{folder.path} holds the study {name!r}",
            expected="a folder that has the name of its study",
            remedy=f"Rename the folder back to {name}.",
        )
    if not stored.get("storage") and not folder.database.is_file():
        raise StudyError(
            f"{folder.database} is missing",
            expected="the database of the study",
            remedy=f"Rebuild it: tunewright repair {shlex.quote(str(folder.path))}.",
        )
    set_leaf(tree, "study.name", name)
    set_leaf(tree, "study.storage", stored.get("storage"))
    set_leaf(tree, "study.retry_failed", False)  # asked for once
    reserved = stored.get("reserved") or {}
    return StoppedStudy(folder, path.parents[len(parts) - 1], tree, reserved)


def find_stopped_run(run: Path, runs: Path) -> RunFolder:
    """Return the folder of a run, by its path or its name under `runs`.

    Raises UsageError for anything else, and for the trials of a study, which only the study
    resumes.
    """
    for path in (run, runs / run):
        folder, study = RunFolder(path), StudyFolder(path)
        if study.settings.exists():
            raise UsageError(
                f"{path} is a study",
                expected="the folder of a run",
                remedy=(
                    f"To resume it: tunewright tune --resume {shlex.quote(str(path))}; its final "
                    f"training is {study.final.path}."
                ),
            )
        if (path / "trial.json").exists():
            raise UsageError(
                f"{path} is a trial of a study",
                expected="the folder of a run",
                remedy=(
                    f"To resume its study: tunewright tune --resume {_study_of(path)}. To train "
                    f"its configuration alone: tunewright train {folder.config}."
                ),
            )
        if folder.config.exists():
            return folder
    raise UsageError(
        f"no run {str(run)!r} in {runs}",
        expected="a folder with config.yaml, as tunewright train creates it",
    )


def _study_of(trial: Path) -> str:
    return shlex.quote(str(trial.parent.parent))


def resume(
    recipe: Recipe,
    composed: Composition,
    folder: RunFolder,
    *,
    before: Tree,
    watch: StudyCallback | None = None,
) -> TrainResult:
    """Resume training in `folder` from its last checkpoint; return the result of one that ended.

    before: the configuration stored there. composed: the same with the overrides typed beside it,
    which may say where to train (`executor`), and that a run trains longer (`EXTENDING`). Raises
    UsageError with the keys that differ, DataError for a run that kept no state to go on from,
    StudyError while another process trains there.
    """
    watch = watch or StudyCallback()
    refuse_stored_servers(composed)
    longer = _refuse_changes(folder, before, composed.tree)
    for notice in [*composed.notices, *check_single_run(recipe, composed.config)]:
        watch.notice(notice)
    study = StudyFolder(folder.path.parent)
    lock = FolderLock(study.path if study.settings.exists() else folder.path, watch.notice)
    try:
        places = [folder.by_seed(seed) for seed in before.get("seeds") or []] or [folder]
        if longer:
            for place in places:
                _refuse_extension(place, longer, keeps_state=recipe.uses_trainer)
            watch.notice(_consequence(places[0], composed.config, longer))
            for line in _replanned(recipe, before, composed.config, places[0], longer):
                watch.notice(line)
            for place in dict.fromkeys([*places, folder]):
                if _extend(place, longer):
                    watch.notice(
                        f"{place.path / EVALUATION} told the shorter training and is removed; to "
                        f"write it anew: tunewright evaluate {shlex.quote(str(place.path))}"
                    )
            before = copy_tree(before)
            _set(before, longer)
        if all(map(is_done, places)):
            watch.notice(f"{folder.path} is complete: nothing is left to train")
        metric = recipe.goals(composed.config)[0].metric
        return train_in_full(
            FullTraining(folder, before, recipe, metric, guard=lock.verify),
            composed.config,
            share(composed.config.executor, composed.config.study.jobs),
            watch,
        )
    finally:
        lock.release()


def _refuse_changes(folder: RunFolder, before: Tree, wanted: Tree) -> Changes:
    """Return the changes of `EXTENDING`; raise UsageError for all others."""
    changed = differences(run_part(before), wanted)
    old, new = (flatten({"trackers": tree.get("trackers")}) for tree in (before, wanted))
    changed |= {p: (old.get(p), new.get(p)) for p in {**old, **new} if old.get(p) != new.get(p)}
    longer = {path: changed.pop(path) for path in EXTENDING if path in changed}
    if changed:
        raise UsageError(
            f"--resume {folder.path} with another configuration: {_list_changes(changed)}",
            expected=f"the configuration that it began with, or a larger {EPOCHS}",
            remedy=f"To train it anew: tunewright train {folder.config} with the same arguments.",
        )
    was, now = longer.get(EPOCHS, (0, 0))
    if now < was:
        raise UsageError(
            f"--resume {folder.path} with {EPOCHS} = {now}, but it was begun with {was}",
            expected="as many epochs or more",
            remedy=f"To train it anew: tunewright train {folder.config} {EPOCHS}={now}.",
        )
    return longer


def _refuse_extension(run: RunFolder, longer: Changes, *, keeps_state: bool) -> None:
    """Raise an error for a finished run that cannot train longer."""
    ending = ending_of(run)
    if not is_done(run):
        return
    if keeps_state and not any(run.checkpoints.glob("last*.pt")):
        epochs = longer.get(EPOCHS, (0, "N"))[1]
        raise DataError(
            f"{run.checkpoints} holds no last.pt, since the run kept no state (training.keep_last)",
            expected="the state at its end, from which it goes on",
            remedy=f"To train it anew: tunewright train {run.config} {EPOCHS}={epochs} "
            "training.keep_last=1.",
        )
    if ending is not None and not ending.whole and ending.patience and PATIENCE not in longer:
        raise UsageError(
            f"the training of {run.path} {ending}, so more epochs alone are not trained",
            expected=f"another {PATIENCE} as well",
            remedy=f"Add {PATIENCE}={2 * ending.patience}, or {PATIENCE}=null for no early end.",
        )


def _consequence(run: RunFolder, config: RunConfig, longer: Changes) -> str:
    """Return what a longer training changes."""
    if EPOCHS not in longer:
        return _list_changes(longer)
    reports = read_progress(run.progress)
    rates = {report.step: report.lr for report in reports if report.lr is not None}
    lengths = (reports[-1].step if reports else 0, *longer[EPOCHS])
    return extension_notice(config.schedule, config.optim.lr, lengths, rates)


def _replanned(
    recipe: Recipe, before: Tree, config: RunConfig, run: RunFolder, longer: Changes
) -> list[str]:
    """Return a line on each value, besides the learning rate, that is planned anew."""
    if EPOCHS not in longer:
        return []
    reports = read_progress(run.progress)
    lengths = (reports[-1].step if reports else 0, *longer[EPOCHS])
    planned = {one.name: one for one in recipe.schedules(validate(before, recipe.config))}
    values = [value for value in recipe.schedules(config) if value.in_use]
    return [describe_extension(planned[value.name], value, lengths) for value in values]


def _extend(run: RunFolder, longer: Changes) -> bool:
    """Store the longer training, which has not ended; return whether it had been evaluated."""
    evaluation = run.path / EVALUATION
    evaluated = evaluation.exists()
    evaluation.unlink(missing_ok=True)
    run.outcome.unlink(missing_ok=True)  # first: a kill in between leaves the shorter training
    tree = run.read_config()
    _set(tree, longer)
    run.write_config(tree)
    return evaluated


def _set(tree: Tree, longer: Changes) -> None:
    for path, (_, now) in longer.items():
        set_leaf(tree, path, now)


def _list_changes(changed: Changes) -> str:
    return "; ".join(f"{path} was {was} and is now {now}" for path, (was, now) in changed.items())
