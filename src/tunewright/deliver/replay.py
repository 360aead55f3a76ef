"""`tunewright replay`: copies a stored run, or all runs of a study, to a tracker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.config.check import validate
from tunewright.config.schema import TrackersConfig
from tunewright.errors import DataError, RunError
from tunewright.result import Result
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import Outcome, OutcomeState
from tunewright.search.storage.trusted_servers import refuse_tracker
from tunewright.training.trackers.tracker import TRACKERS, require, run_info
from tunewright.training.trackers.tracking import forget_tracker_off, make_trackers

UNENDED = "no outcome in the run folder: it was killed, or is still running"


@dataclass(frozen=True)
class ReplayedRun:
    """A run that was copied. steps: how many epochs its history has."""

    folder: RunFolder
    study: str
    name: str
    steps: int
    state: OutcomeState


@dataclass(frozen=True)
class ReplayReport(Result):
    """The runs that were copied to a tracker. to: its name."""

    to: str
    runs: tuple[ReplayedRun, ...]


def replay(
    run: Path | str,
    *,
    to: str,
    options: Mapping[str, Any] | None = None,
    runs: Path = Path("runs"),
    on_replayed: Callable[[ReplayedRun], None] | None = None,
) -> ReplayReport:
    """Copy a run, all of its seeds, or every trial of a study; a repeat changes nothing.

    run: a folder, or a name under `runs`. to: a tracker. options: its settings (`uri`, ...) over
    those that the run was configured with. on_replayed: called after each run.
    Raises ConfigError for an unknown tracker, setting or a missing package, DataError where
    no run lies, StudyError for a server that only the run's folder names, RunError when the
    tracker fails.
    """
    TRACKERS[to]  # an unknown name is refused with the known ones
    require([to], training=False)
    replayed = []
    for folder in find_runs(Path(run), runs):
        replayed.append(_replay_run(folder, to, options or {}))
        if on_replayed is not None:
            on_replayed(replayed[-1])
    return ReplayReport(to, tuple(replayed))


def find_runs(run: Path, runs: Path) -> list[RunFolder]:
    """Return all runs at or below a folder that were ever started, sorted by path."""
    for place in (run, runs / run):
        found = sorted(file.parent for file in place.rglob("attempt.json"))
        if found:
            return [RunFolder(path) for path in found if (path / "config.yaml").exists()]
    raise DataError(
        f"no run in {run}",
        expected=f"the folder of a run or a study, or its name in {runs}",
    )


def _replay_run(folder: RunFolder, to: str, options: Mapping[str, Any]) -> ReplayedRun:
    stored = (folder.read_config().get("trackers") or {}).get(to) or {}
    if "uri" not in options:
        refuse_tracker(stored.get("uri"), folder.config)
    trackers = validate({to: {**stored, **options}}, TrackersConfig)
    info, history = run_info(folder), read_progress(folder.progress)
    outcome = folder.read_outcome()
    if outcome is None:
        seconds = history[-1].seconds if history else 0.0
        outcome = Outcome("failed", folder.attempt, "killed", UNENDED, seconds=seconds)
    tracker = make_trackers(trackers)[to]
    try:
        tracker.start(info)
        if history:
            tracker.log(history)
        tracker.finish(outcome)
    except Exception as error:
        reason = " ".join(str(error).split())[:500]
        raise RunError(
            f"{folder.path} could not be copied to {to} ({type(error).__name__}: {reason})",
            remedy="Run the same command again; what was copied is not duplicated.",
        ) from error
    forget_tracker_off(folder, to)
    return ReplayedRun(folder, info.study, info.name, len(history), outcome.state)
