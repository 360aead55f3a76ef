"""Searches in worker processes that die, hang, or cannot write."""

import json
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from practice.quadratic.studies import tuned

from tunewright.errors import DataError
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import read_progress
from tunewright.search.callbacks import StudyCallback
from tunewright.search.loop import run_loop
from tunewright.search.stages import TuneResult

LOCAL = ("executor.type=local", "study.jobs=2", "study.pruner.type=none")


def folder_of(found: TuneResult, number: int) -> RunFolder:
    return found.folder.trial(number)


def worker_of(folder: RunFolder) -> int:
    """The process that trained it last, which says so in its log."""
    return int(folder.log.read_text().rsplit("in process ", 1)[1].split()[0])


def steps_of(folder: RunFolder) -> list[int]:
    """Every step that was reported, as often as it was."""
    lines = folder.progress.read_text().splitlines()
    return [json.loads(line)["step"] for line in lines if '"step"' in line]


class Notices(StudyCallback):
    """Keeps what a study said."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def kill_when_reported(folder: RunFolder, epochs: int) -> None:
    """Kill the worker of a run as soon as it has reported so many epochs."""
    deadline = time.monotonic() + 30
    while len(read_progress(folder.progress)) < epochs and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(worker_of(folder), signal.SIGKILL)


def test_workers_live_across_trials_and_are_gone_afterwards(tmp_path: Path) -> None:
    found = tuned(tmp_path, *LOCAL, "study.trials=8")
    assert [trial.state for trial in found.record.trials] == ["done"] * 8
    workers = {worker_of(folder_of(found, number)) for number in range(8)}
    assert len(workers) <= 2
    assert not any(psutil.pid_exists(pid) for pid in workers)


def test_a_fresh_process_for_each_trial_on_request(tmp_path: Path) -> None:
    found = tuned(tmp_path, *LOCAL, "study.trials=4", "executor.isolation=trial")
    assert len({worker_of(folder_of(found, number)) for number in range(4)}) == 4


def test_a_trial_whose_worker_is_killed_once_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    found = tuned(
        tmp_path, *LOCAL, "study.trials=3", "faults.kind='signal 9'", "faults.epoch=3",
        "faults.first_attempts=1",
    )  # fmt: skip
    assert [trial.state for trial in found.record.trials] == ["done"] * 3
    for number in range(3):
        folder = folder_of(found, number)
        assert folder.attempt == 2
        assert steps_of(folder) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_worker_killed_from_outside_loses_one_checkpoint_interval(tmp_path: Path) -> None:
    watch, folder = Notices(), StudyFolder(tmp_path / "study").trial(0)
    killer = threading.Thread(target=kill_when_reported, args=(folder, 3))
    killer.start()
    found = tuned(tmp_path, *LOCAL, "study.trials=3", "epoch_seconds=0.1", watch=watch)
    killer.join()
    assert [trial.state for trial in found.record.trials] == ["done"] * 3
    assert "trial 0: killed by signal 9; resuming from its last checkpoint" in watch.notices
    assert folder.attempt == 2
    assert set(steps_of(folder)) == {1, 2, 3, 4, 5, 6, 7, 8}
    assert len(steps_of(folder)) <= 9


def test_a_trial_whose_worker_always_dies_fails_with_the_signal(tmp_path: Path) -> None:
    found = tuned(tmp_path, *LOCAL, "study.trials=4", "faults.kind='signal 9'", "faults.from_x=0")
    ill = [t for t in found.record.trials if t.parameters["point.x"] >= 0]
    assert ill
    assert {t.state for t in found.record.trials} <= {"done", "failed"}
    for trial in ill:
        assert (trial.state, trial.cause) == ("failed", "killed")
        assert trial.reason == "killed by signal 9"
        assert trial.curve.keys() == {1, 2, 3}, "the second attempt went on from the second epoch"
        assert folder_of(found, trial.number).attempt == 2


def test_a_process_that_leaves_is_reported_with_its_code(tmp_path: Path) -> None:
    found = tuned(
        tmp_path, *LOCAL, "study.trials=2", "faults.kind=exit", "faults.epoch=1",
        "executor.retries=0",
    )  # fmt: skip
    for trial in found.record.trials:
        assert (trial.state, trial.reason) == ("failed", "worker exited with code 3")


def test_a_trial_that_hangs_is_ended_by_its_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its time is up as soon as it hangs; the others have ten minutes, on any machine.
    def monotonic() -> float:
        logs = [log.read_text() for log in tmp_path.rglob("log.txt")]
        return time.monotonic() + 700.0 * sum("hangs" in log for log in logs)

    monkeypatch.setattr(run_loop, "time", SimpleNamespace(monotonic=monotonic))
    found = tuned(
        tmp_path, *LOCAL, "study.jobs=1", "study.trials=3", "faults.kind=hang", "faults.from_x=0",
        "executor.trial_timeout=600",
    )  # fmt: skip
    assert any(trial.parameters["point.x"] >= 0 for trial in found.record.trials)
    for trial in found.record.trials:
        if trial.parameters["point.x"] >= 0:
            assert (trial.state, trial.cause) == ("failed", "timed out")
            assert trial.reason == "did not finish within 600 s"
            assert not psutil.pid_exists(worker_of(folder_of(found, trial.number)))
        else:
            assert trial.state == "done"


@pytest.mark.parametrize("kind", ["out of memory", "out of device memory", "diverged"])
def test_what_lies_in_the_configuration_is_infeasible(tmp_path: Path, kind: str) -> None:
    found = tuned(tmp_path, *LOCAL, "study.trials=3", f"faults.kind='{kind}'")
    assert [trial.state for trial in found.record.trials] == ["infeasible"] * 3
    assert len({worker_of(folder_of(found, n)) for n in range(3)}) <= 2, "no worker was lost"
    assert "Traceback" in folder_of(found, 0).log.read_text()


def test_a_disk_that_is_full_for_one_worker_does_not_hang_the_study(tmp_path: Path) -> None:
    found = tuned(tmp_path, *LOCAL, "study.trials=4", "faults.kind='full disk'", "faults.from_x=0")
    for trial in found.record.trials:
        if trial.parameters["point.x"] >= 0:
            assert trial.state == "failed"
            assert trial.reason == "the run folder could not be written, as on a full disk"
        else:
            assert trial.state == "done"
            assert trial.curve.keys() == set(range(1, 9))


def test_a_log_that_cannot_be_written_is_the_reason(tmp_path: Path) -> None:
    log = StudyFolder(tmp_path / "study").trial(1).log
    log.mkdir(parents=True)
    found = tuned(tmp_path, *LOCAL, "study.trials=2")
    assert [trial.state for trial in found.record.trials] == ["done", "failed"]
    assert "Is a directory" in found.record.trials[1].reason


def test_a_folder_that_nobody_can_write_stops_the_study_with_the_remedy(tmp_path: Path) -> None:
    trials = StudyFolder(tmp_path / "study").trials
    trials.mkdir(parents=True)
    (trials / "00001").write_text("not a folder")
    with pytest.raises(DataError, match=r"cannot be written.*same command"):
        tuned(tmp_path, *LOCAL, "study.trials=3")
    (trials / "00001").unlink()
    found = tuned(tmp_path, *LOCAL, "study.trials=3")
    assert [trial.state for trial in found.record.trials] == ["done"] * 3


@pytest.mark.slow
def test_a_search_that_runs_out_of_time_pauses_and_goes_on(tmp_path: Path) -> None:
    words = [*LOCAL, "study.trials=4", "epoch_seconds=0.3"]
    found = tuned(tmp_path, *words, "study.timeout=1.0")
    assert found.ending == "timed out"
    running = found.record.of_state("running")
    assert running
    for trial in running:
        outcome = found.folder.trial(trial.number).read_outcome()
        assert outcome is not None
        assert outcome.state == "paused"
    found = tuned(tmp_path, *words)
    assert found.ending == "finished"
    assert [trial.state for trial in found.record.trials] == ["done"] * 4
    for trial in found.record.trials:
        assert steps_of(folder_of(found, trial.number)) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_pruning_works_across_processes(tmp_path: Path) -> None:
    found = tuned(
        tmp_path, *LOCAL, "study.pruner.type=asha", "study.trials=12", "training.epochs=9",
        "epoch_seconds=0.05",
    )  # fmt: skip
    assert len(found.record.of_state("pruned")) >= 3
    assert found.record.best is not None
    assert len(found.record.trials) == 12
