"""`tunewright status`: where studies stand, from small files alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from practice.quadratic.studies import tuned

from tunewright.errors import RunError, StudyError
from tunewright.runs.atomic import write_json
from tunewright.runs.folder import StudyFolder
from tunewright.runs.lease import lease, lease_files
from tunewright.runs.lease.holder import this_process
from tunewright.runs.lease.lease import ContentLease, read_lease
from tunewright.search.callbacks import StudyCallback
from tunewright.search.coordinator import studies
from tunewright.search.coordinator.standing import StandingFile
from tunewright.search.coordinator.studies import list_studies


def make(runs: Path, name: str, **values: object) -> Path:
    """The folder of a study, as its coordinator leaves it."""
    folder = runs / name
    folder.mkdir(parents=True)
    (folder / "study.yaml").touch()
    standing = {"study": name, "state": "running", "total": 10, "ended": 4, "running": 2}
    write_json(folder / "status.json", {**standing, **values})
    return folder


def state_of(runs: Path, name: str) -> str:
    return list_studies(name, runs).studies[0].state


def test_a_study_that_has_ended_is_finished(tmp_path: Path) -> None:
    tuned(tmp_path, "study.trials=3", "study.report=false")
    [one] = list_studies(None, tmp_path).studies
    assert (one.study, one.state, one.ended, one.total, one.left) == ("study", "finished", 3, 3, 0)
    assert one.metric == "val_score"
    assert one.best is not None
    assert one.an_hour is not None
    json.dumps(list_studies("study", tmp_path).as_json(), allow_nan=False)


def test_a_study_that_failed_says_why(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        tuned(tmp_path, "study.trials=8", "study.max_failures=2", "faults.kind=error")
    [one] = list_studies(None, tmp_path).studies
    assert one.state == "failed"
    assert "the search of 'study' ends" in one.why


def test_who_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = ContentLease(make(tmp_path, "here"), "it")
    assert state_of(tmp_path, "here") == "running"
    held.release()
    assert state_of(tmp_path, "here") == "stopped"
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True
    )
    for name, changes in {
        "killed": {"pid": int(dead.stdout), "born": "1"},
        "elsewhere": {"host": "elsewhere"},
    }.items():
        place = make(tmp_path, name) / lease.NAME
        place.mkdir()
        assert lease_files.make_next(place, 1, {**this_process().as_stored(), **changes})
    assert state_of(tmp_path, "killed") == "lost"
    monkeypatch.setattr(studies, "WATCH_SECONDS", 0.3)
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.1)
    assert state_of(tmp_path, "elsewhere") == "silent"
    beats = iter(range(1000))
    read = read_lease

    def beating(folder: Path) -> lease_files.StoredLease:
        found = read(folder)
        values = {**found.values, "count": next(beats)}
        return lease_files.StoredLease(found.number, json.dumps(values).encode())

    monkeypatch.setattr(studies, "read_lease", beating)
    assert state_of(tmp_path, "elsewhere") == "running"


def test_all_studies_below_the_folder_are_listed(tmp_path: Path) -> None:
    for name in ("b", "a", "group/c"):
        make(tmp_path, name)
    (tmp_path / "train-pairs").mkdir()
    assert [one.study for one in list_studies(None, tmp_path).studies] == ["a", "b", "group/c"]
    assert list_studies(None, tmp_path / "none").studies == ()
    with pytest.raises(StudyError, match="no study 'd'"):
        list_studies("d", tmp_path)


def test_damaged_and_older_folders_are_listed(tmp_path: Path) -> None:
    make(tmp_path, "odd", total="x", ended=None, best=3, session=[])
    older = StudyFolder(make(tmp_path, "older"))
    (older.path / "status.json").unlink()
    write_json(older.summary, {"trials": 7, "goal": "val_loss", "best_score": 0.5})
    odd, old = list_studies(None, tmp_path).studies
    assert (odd.state, odd.ended, odd.total) == ("stopped", 0, None)
    assert (old.state, old.ended, old.best) == ("stopped", 7, 0.5)


def test_a_full_disk_costs_the_file_alone(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study/status.json").mkdir()
    StandingFile(StudyFolder(tmp_path / "study"), "study", StudyCallback()).end("stopped")
