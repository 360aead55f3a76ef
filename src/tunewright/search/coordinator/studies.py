"""List the studies of a folder with where they stand; no database is opened."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tunewright.result import Result
from tunewright.runs.atomic import read_json
from tunewright.runs.folder import StudyFolder
from tunewright.runs.lease import lease
from tunewright.runs.lease.holder import fate_of, read_holder
from tunewright.runs.lease.lease import read_lease
from tunewright.search.coordinator.standing import standing_path
from tunewright.search.read_study import study_folder

State = Literal["running", "silent", "lost", "stopped", "finished", "failed"]
WATCH_SECONDS = 7.0
"""How long a coordinator on another host is watched: longer than it takes to renew its lease."""
DEEPEST = 3
"""Levels of folders that the name of a study may have."""


@dataclass(frozen=True)
class StudyStatus(Result):
    """One study. state: `silent` is one on another host that did not renew its lease meanwhile.

    host, pid: of the coordinator, the last one where none runs. log: the file with its output,
    when it runs in the background. left: trials that are still to be run. an_hour: trials that
    ended in an hour of the last session; None before the first one. left_seconds: of the whole
    job. total: None where no coordinator of this version has run the study.
    """

    study: str
    folder: Path
    state: State
    host: str = ""
    pid: int | None = None
    detached: bool = False
    log: Path | None = None
    stage: str = ""
    ended: int = 0
    total: int | None = None
    running: int = 0
    an_hour: float | None = None
    left: int | None = None
    left_seconds: float | None = None
    at_most: bool = False
    metric: str = ""
    best: float | None = None
    best_trial: int | None = None
    why: str = ""


@dataclass(frozen=True)
class StudyList(Result):
    """The studies of a folder, by name. alone: whether one was asked for."""

    runs: Path
    studies: tuple[StudyStatus, ...]
    alone: bool = False


def list_studies(study: str | None, runs: Path) -> StudyList:
    """Return where a study, or each study under `runs`, stands.

    Coordinators of this host are looked up. Those of other hosts are watched for some seconds,
    all at once, since no clock of theirs is trusted. Raises StudyError for a study that is not
    there.
    """
    if study is None:
        folders = list(_study_folders(runs))
    else:
        folders = [study_folder(study, runs, "status").path]
    found = {folder: _status(folder, runs) for folder in folders}
    return StudyList(runs, tuple(_watched(found)), alone=study is not None)


def _study_folders(folder: Path, depth: int = 1) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        path = Path(entry.path)
        if not entry.is_dir():
            continue
        if (path / "study.yaml").is_file():
            yield path
        elif depth < DEEPEST and not (path / "config.yaml").exists():
            yield from _study_folders(path, depth + 1)


def _status(folder: Path, runs: Path) -> StudyStatus:
    """Return where a study stands; one whose coordinator cannot be asked is `silent` for now."""
    try:
        name = str(folder.relative_to(runs))
    except ValueError:
        name = folder.name
    stored = read_json(standing_path(folder))
    status = _older(name, folder) if stored is None else _read(name, folder, stored)
    newest = read_lease(folder)
    if not newest.is_held:
        ended = status.state if status.state != "running" else "stopped"
        return replace(status, state=ended, running=0)
    holder = read_holder(newest.values)
    if holder is None:
        return replace(status, state="silent")
    state: State = {"alive": "running", "dead": "lost", "unknown": "silent"}[fate_of(holder)]  # type: ignore[assignment]
    running = 0 if state == "lost" else status.running
    return replace(status, state=state, host=holder.host.name, pid=holder.pid, running=running)


def _watched(found: Mapping[Path, StudyStatus]) -> Iterator[StudyStatus]:
    """Watch the silent ones until their leases have changed, or long enough."""
    silent = {path: read_lease(path) for path, one in found.items() if one.state == "silent"}
    changed: dict[Path, State] = {}
    until = time.monotonic() + max(WATCH_SECONDS, 1.2 * lease.BEAT_SECONDS)
    while len(changed) < len(silent) and time.monotonic() < until:
        time.sleep(0.2)
        for path, before in silent.items():
            if path not in changed and (now := read_lease(path)) != before:
                changed[path] = "running" if now.is_held else "stopped"
    for path, status in found.items():
        yield replace(status, state=changed[path]) if path in changed else status


def _read(name: str, folder: Path, stored: Mapping[str, Any]) -> StudyStatus:
    best, session = _mapping(stored.get("best")), _mapping(stored.get("session"))
    ended, total = _count(stored.get("ended")) or 0, _count(stored.get("total"))
    seconds, log = _number(session.get("seconds")), stored.get("log")
    state = stored.get("state")
    return StudyStatus(
        study=name,
        folder=folder,
        state=state if state in ("running", "stopped", "finished", "failed") else "stopped",
        host=str(stored.get("host", socket.gethostname())),
        pid=_count(stored.get("pid")),
        detached=isinstance(log, str),
        log=Path(log) if isinstance(log, str) else None,
        stage=str(stored.get("stage", "")),
        ended=ended,
        total=total,
        running=_count(stored.get("running")) or 0,
        an_hour=(_count(session.get("ended")) or 0) * 3600 / seconds if seconds else None,
        left=None if total is None else max(0, total - ended),
        left_seconds=_number(stored.get("left_seconds")),
        at_most=bool(stored.get("at_most")),
        metric=str(stored.get("metric", "")),
        best=_number(best.get("score")),
        best_trial=_count(best.get("trial")),
        why=str(stored.get("why", "")),
    )


def _older(name: str, folder: Path) -> StudyStatus:
    """Return what the files of a study tell that no coordinator of this version has run."""
    place = StudyFolder(folder)
    summary = read_json(place.summary) or {}
    ended = _count(summary.get("trials"))
    return StudyStatus(
        study=name,
        folder=folder,
        state="stopped",
        ended=len(place.trial_numbers) if ended is None else ended,
        metric=str(summary.get("goal", "")),
        best=_number(summary.get("best_score")),
        best_trial=_count(summary.get("best_trial")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None
