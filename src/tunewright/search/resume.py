"""Resume a stopped training; its folder defines it, and nothing may differ."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.config.compose import Composition
from tunewright.config.tree import Tree, flatten
from tunewright.errors import UsageError
from tunewright.executors.resources import share
from tunewright.recipes.recipe import Recipe
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.search.callbacks import StudyCallback
from tunewright.search.final import FullTraining, train_in_full
from tunewright.search.loop.lease import FolderLock
from tunewright.search.prepare import run_part
from tunewright.search.storage.trusted_servers import refuse_stored_servers
from tunewright.search.training_run import TrainResult, is_done
from tunewright.search.transfer.trial_matching import differences


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
                    "Run the tunewright tune command that began it to resume it; its final "
                    f"training is {study.final.path}."
                ),
            )
        if (path / "trial.json").exists():
            raise UsageError(
                f"{path} is a trial of a study",
                expected="the folder of a run",
                remedy=(
                    "Run the tunewright tune command that began the study to resume it. To train "
                    f"its configuration alone: tunewright train {folder.config}."
                ),
            )
        if folder.config.exists():
            return folder
    raise UsageError(
        f"no run {str(run)!r} in {runs}",
        expected="a folder with config.yaml, as tunewright train creates it",
    )


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
    which may only say where to train (`executor`). Raises UsageError with the keys that differ,
    StudyError while another process trains there.
    """
    watch = watch or StudyCallback()
    refuse_stored_servers(composed)
    _refuse_changes(folder, before, composed.tree)
    for notice in [*composed.notices, *recipe.check_data(composed.config)]:
        watch.notice(notice)
    study = StudyFolder(folder.path.parent)
    lock = FolderLock(study.path if study.settings.exists() else folder.path)
    try:
        places = [folder.by_seed(seed) for seed in before.get("seeds") or []] or [folder]
        if all(map(is_done, places)):
            watch.notice(f"{folder.path} is complete: nothing is left to train")
        metric = recipe.goals(composed.config)[0].metric
        return train_in_full(
            FullTraining(folder, before, recipe, metric),
            composed.config,
            share(composed.config.executor, composed.config.study.jobs),
            watch,
        )
    finally:
        lock.release()


def _refuse_changes(folder: RunFolder, before: Tree, wanted: Tree) -> None:
    changed = differences(run_part(before), wanted)
    old, new = (flatten({"trackers": tree.get("trackers")}) for tree in (before, wanted))
    changed |= {p: (old.get(p), new.get(p)) for p in {**old, **new} if old.get(p) != new.get(p)}
    if changed:
        raise UsageError(
            f"--resume {folder.path} with another configuration: {_list_changes(changed)}",
            expected="the configuration that it began with",
            remedy=f"To train it anew: tunewright train {folder.config} with the same arguments.",
        )


def _list_changes(changed: Mapping[str, tuple[Any, Any]]) -> str:
    return "; ".join(f"{path} was {was} and is now {now}" for path, (was, now) in changed.items())
