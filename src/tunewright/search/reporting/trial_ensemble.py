"""The best ensemble of a study's trials, from their kept predictions, in the study's folder."""

from collections.abc import Mapping
from typing import Any

from tunewright.classification.inference.trial_ensemble import PredictedRun, select_trials
from tunewright.config.schema import ExecutorConfig as ExecutorConfig
from tunewright.errors import TunewrightError
from tunewright.executors.resources import threads_each
from tunewright.executors.subprocess_call import call
from tunewright.result import to_json
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import StudyRecord
from tunewright.search.read_study import read_study

FILE, MADE = "trial_ensemble.json", "made_ensemble.json"
"""What an ensemble of all trials with predictions gains, and one that was made of a study."""


def candidates(folder: StudyFolder, record: StudyRecord) -> list[PredictedRun]:
    """Return the runs of finished trials that kept their predictions, best trial first."""
    found = []
    for trial in record.rank_trials():
        if trial.imported_from:
            continue
        runs = [run for run in folder.trial(trial.number).with_seeds() if run.predictions.exists()]
        for run in runs:
            seed = run.path.name.removeprefix("seed-") if run.path.name.startswith("seed") else ""
            found.append(PredictedRun(trial.number, run.predictions, seed))
    return found


def predicted_runs(folder: StudyFolder) -> list[PredictedRun]:
    """Return the runs that kept predictions, best first; none of a study that cannot be read."""
    try:
        return candidates(folder, read_study(str(folder.path)).record)
    except TunewrightError:
        return []


def without_weights(folder: StudyFolder) -> list[str]:
    """Return a note on members of the best ensemble of the trials that kept no weights."""
    found = stored_ensemble(folder) or {"members": [], "candidates": 0}
    lacking = dict.fromkeys(
        str(one["trial"]) for one in found["members"] if not one.get("has_weights", True)
    )
    if not lacking:
        return []
    return [
        f"trial {', '.join(lacking)} would be in the best ensemble of the trials' predictions and "
        f"kept no weights: a search with study.keep_weights={found['candidates']} keeps those of "
        "all candidates"
    ]


def measure_trial_ensemble(
    folder: StudyFolder, record: StudyRecord, executor: ExecutorConfig
) -> dict[str, Any] | None:
    """Select the best ensemble of the trials and store what it gains; None without two candidates.

    The work is done in a process that may import torch. Raises RunError where that dies, NotWritten
    where the disk refuses the file.
    """
    runs = candidates(folder, record)
    if len(runs) < 2:
        return None
    if executor.type == "inline":
        found = select_trials(runs)
    else:
        found = call(select_trials, runs, threads=threads_each(executor))
    for member in found["members"]:
        weights = folder.trial(member["trial"]).checkpoints / "best.safetensors"
        member["has_weights"] = weights.exists()
    store_ensemble(folder, found)
    return dict(found)


def store_ensemble(folder: StudyFolder, found: Mapping[str, Any], name: str = FILE) -> None:
    """Store what an ensemble of trials gains; see `select_trials`."""
    write_json(folder.path / name, to_json(found))


def stored_ensemble(folder: StudyFolder | None, name: str = FILE) -> dict[str, Any] | None:
    """Return what `store_ensemble` stored; None where there is nothing that can be read."""
    if folder is None:
        return None
    try:
        found = read_json(folder.path / name)
    except TunewrightError:
        return None
    if found is None or not isinstance(found.get("gain"), dict):
        return None
    wanted = {"value", "low", "high", "ensemble", "single", "pictures"}
    members = found.get("members")
    best = found.get("best")
    whole = isinstance(members, list) and isinstance(best, dict) and wanted <= found["gain"].keys()
    return found if whole else None


def describe_ensemble(found: dict[str, Any]) -> str:
    """Return in a sentence what the ensemble of trials gains."""
    gain, best = found["gain"], found["best"]
    count = len(found["members"])
    if gain is None:
        return "; ".join(found["notes"])
    figures = (
        f"{gain['value']:+.4f} {found['metric']} ({gain['low']:+.4f} to {gain['high']:+.4f}) over "
        f"the best one, trial {best['trial']}, on rows that did not choose it"
    )
    return f"an ensemble of {count} of {found['candidates']} trials: {figures}"
