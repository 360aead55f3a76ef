"""Studies in jobs: a time limit, a killed and a cancelled job in the middle; nothing is lost.

The same study on executor.type=local says what must come out.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_slurm
import one_node_slurm
import psutil
import pytest

import tunewright
from tunewright.executors.batch.worker_folder import WorkerFolder, WorkerState
from tunewright.runs.folder import StudyFolder
from tunewright.runs.progress import read_progress
from tunewright.search.callbacks import StudyCallback

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SCRIPT = """
import os, sys, time
import tunewright.client as tw
lr, folder = tw.params()["optim.lr"], tw.checkpoint_dir()
state = folder / "epoch"
begun = int(state.read_text()) if state.exists() else 0
for epoch in range(begun + 1, 11):
    time.sleep(0.6)
    with open(sys.argv[1], "a") as log:
        log.write(f"{os.environ['TUNEWRIGHT_RUN_DIR'].split('/')[-2]} {epoch}\\n")
    (folder / "new").write_text(str(epoch))
    os.replace(folder / "new", state)  # a kill never leaves half of it
    tw.report(epoch, acc=epoch * lr)
"""
SPACE = {"optim.lr": {"type": "float", "low": 0.001, "high": 1.0, "log": True}}
WORDS = ("study.pruner.type=none", "study.final=false", "study.replicate=0", "executor.threads=1")


class Mishaps(StudyCallback):
    """Does something to the worker of a trial after its second report, once for each trial."""

    def __init__(self, study: Path, acts: dict[int, Callable[[WorkerState], None]]) -> None:
        self.study, self.acts = StudyFolder(study), acts
        self.notices: list[str] = []
        self.places: list[str] = []

    def on_trial_start(self, number: int, values: Any, where: str) -> None:
        self.places.append(where)

    def on_report(self, number: int, step: int, *_: Any) -> None:
        if step >= 2 and number in self.acts:
            self.acts.pop(number)(worker_of(self.study, number))

    def notice(self, text: str) -> None:
        self.notices.append(text)


def worker_of(study: StudyFolder, number: int) -> WorkerState:
    place = study.trial(number).path.resolve()
    for path in (study.path / "workers").glob("w*/state.json"):
        state = WorkerFolder(path.parent).read_state()
        if state is not None and state.stage == "running" and Path(state.folder) == place:
            return state
    raise AssertionError(f"no worker runs trial {number}")


def attempts(study: StudyFolder, number: int) -> int:
    return study.trial(number).attempt


def test_pairs_in_local_jobs_with_a_time_limit_and_a_killed_job(tmp_path: Path) -> None:
    words = ("training.epochs=60", "training.patience=null", "seed=3", *WORDS)
    usual = tunewright.tune("pairs", *words, trials=5, jobs=1, name="usual", runs_dir=tmp_path)

    def time_is_over(state: WorkerState) -> None:
        os.kill(state.pid, signal.SIGUSR2)  # as submitit does, the notice before the time limit

    def kill_job(state: WorkerState) -> None:
        """The job dies at once with all its processes, as a job in a control group does."""
        controller = psutil.Process(int(state.job))
        for process in [*controller.children(recursive=True), controller]:
            process.kill()

    watch = Mishaps(tmp_path / "jobs", {1: time_is_over, 3: kill_job})
    found = tunewright.tune(
        "pairs", *words, "executor.type=local_jobs", trials=5, jobs=1, name="jobs",
        runs_dir=tmp_path, watch=watch,
    )  # fmt: skip
    assert watch.acts == {}
    assert [attempts(found.folder, n) for n in range(5)] == [1, 2, 1, 2, 1]
    same(found.record, usual.record)
    for number in range(5):
        steps = [report.step for report in read_progress(found.folder.trial(number).progress)]
        assert steps == list(range(1, 61))
    assert any("resuming from its last checkpoint" in text for text in watch.notices)
    assert not any("trial 1: " in text for text in watch.notices), "a time limit is no death"
    assert all(place.startswith("worker w") for place in watch.places)
    assert jobs_left(tmp_path) == []


@pytest.fixture(params=["fake", "one node"])
def slurm(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The commands of SLURM on PATH: those of a stand-in, or of a real SLURM of one node."""
    if request.param == "fake":
        fake_slurm.install(tmp_path / "bin")
        (tmp_path / "slurm").mkdir()
        monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "slurm"))
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        yield "fake"
        return
    if why := one_node_slurm.why_not():
        pytest.skip(why)
    with one_node_slurm.started(tmp_path / "slurm") as configuration:
        monkeypatch.setenv("SLURM_CONF", str(configuration))
        yield "one node"


def test_a_command_in_slurm_with_a_time_limit_and_a_cancelled_job(
    slurm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunewright.executors.batch.slurm import Slurm

    monkeypatch.setattr(Slurm, "look_seconds", 1.0)
    monkeypatch.setattr(Slurm, "late_seconds", 5.0)
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)

    def tune(name: str, *more: str, watch: StudyCallback | None = None):
        return tunewright.tune(
            "command", "training.epochs=10", "seed=5", *WORDS, *more, space=SPACE, goal="acc:max",
            trials=5, jobs=1, name=name, runs_dir=tmp_path / "runs", watch=watch,
            script=[sys.executable, str(script), str(tmp_path / f"{name}.log")],
        )  # fmt: skip

    usual = tune("usual")

    def time_is_over(state: WorkerState) -> None:
        subprocess.run(["scancel", "--batch", "--signal", "SIGUSR2", state.job], check=True)

    def cancel(state: WorkerState) -> None:
        subprocess.run(["scancel", state.job], check=True)

    watch = Mishaps(tmp_path / "runs/jobs", {1: time_is_over, 3: cancel})
    limits = ("executor.slurm.walltime=10m", "executor.slurm.notice=60")
    found = tune("jobs", "executor.type=slurm", *limits, watch=watch)
    assert watch.acts == {}
    assert [attempts(found.folder, n) for n in range(5)] == [1, 2, 1, 2, 1]
    same(found.record, usual.record)
    epochs = Counter((tmp_path / "jobs.log").read_text().splitlines())
    done = {f"{trial:05d} {epoch}" for trial in range(5) for epoch in range(1, 11)}
    assert set(epochs) == done
    again = {line for line, count in epochs.items() if count > 1}
    assert len(again) <= 2, "an epoch that was not saved is trained again, at most"
    assert not any("resuming" in text and "checkpoint" in text for text in watch.notices), (
        "no deaths"
    )
    assert any("0 workers run, 1 waits in the queue" in text for text in watch.notices)
    assert jobs_left(tmp_path) == []


def same(found: Any, usual: Any) -> None:
    """Nothing is lost, and the same comes out, trial by trial."""
    assert {trial.number: trial.state for trial in found.trials} == dict.fromkeys(range(5), "done")
    for one, other in zip(found.trials, usual.trials, strict=True):
        assert one.parameters == other.parameters
        assert one.score == pytest.approx(other.score, abs=1e-9)
        assert one.curve == pytest.approx(other.curve, abs=1e-9)
    assert found.best.number == usual.best.number


def jobs_left(place: Path) -> list[str]:
    """Processes of jobs below `place` that live on after a while."""
    until = time.monotonic() + 60.0
    while time.monotonic() < until:
        left = [
            " ".join(process.info["cmdline"])
            for process in psutil.process_iter(["cmdline"])
            if process.info["cmdline"] and "submitit" in " ".join(process.info["cmdline"])
            if str(place) in " ".join(process.info["cmdline"])
        ]
        if not left:
            return []
        time.sleep(0.2)
    return left
