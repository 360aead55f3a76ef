"""Real processes, really killed: nothing that was finished or reported is ever lost."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from practice.quadratic.studies import rows

from tunewright.runs.progress import read_progress

MARK = "TUNEWRIGHT_TEST"
pytestmark = pytest.mark.slow


class Shell:
    """Types `tunewright tune quadratic ...` and watches over all that comes of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.study = folder, folder / "runs/study"
        self.mark = uuid.uuid4().hex

    def start(self, *words: str, runs: str = "runs") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tunewright", "tune", "quadratic", *words]
        return subprocess.Popen(
            [*command, "--name", "study", "--jobs", "2", "--runs-dir", runs, "study.final=false"],
            cwd=self.folder,
            env={**os.environ, MARK: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, *words: str) -> str:
        """Run to the end; returns what was printed."""
        process = self.start(*words)
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0, printed
        return printed

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
            except psutil.Error:
                continue
        return [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def states(self) -> dict[int, str]:
        return dict(rows(self.study / "study.db", "SELECT number, state FROM trials"))

    def finished(self) -> set[tuple[object, ...]]:
        query = "SELECT * FROM trials WHERE state NOT IN ('RUNNING', 'WAITING')"
        return set(rows(self.study / "study.db", query)) if self._begun() else set()

    def reported(self) -> set[tuple[int, int, float]]:
        """Trial, step and value of every line that stands in a progress file."""
        return {
            (int(file.parent.name), p.step, p.metrics["val_score"])
            for file in self.study.glob("trials/*/progress.jsonl")
            for p in read_progress(file)
        }

    def stored(self) -> set[tuple[int, int, float]]:
        query = """SELECT number, step, intermediate_value FROM trial_intermediate_values
                   JOIN trials USING (trial_id)"""
        return set(rows(self.study / "study.db", query))  # type: ignore[arg-type]

    def _begun(self) -> bool:
        database = self.study / "study.db"
        tables = "SELECT name FROM sqlite_master WHERE name = 'trials'"
        return database.exists() and bool(rows(database, tables))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    left = made.processes()
    for process in left:
        process.kill()
    assert left == [], "processes outlived their coordinator"


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def epochs_reported(shell: Shell, number: int) -> int:
    return len(read_progress(shell.study / f"trials/{number:05d}/progress.jsonl"))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_coordinator_killed_again_and_again_loses_nothing(shell: Shell, seed: int) -> None:
    """The kills fall anywhere: while the server starts, in a write, between two trials."""
    words = ["--trials", "10", "epoch_seconds=0.1", "training.epochs=6"]
    chance = random.Random(seed)
    finished: set[tuple[object, ...]] = set()
    reported: set[tuple[int, int, float]] = set()
    for _ in range(6):
        process = shell.start(*words)
        time.sleep(chance.uniform(2.0, 7.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        until(lambda: not shell.processes(), seconds=10)
        finished |= shell.finished()
        reported |= shell.reported()
    shell.finish(*words)
    assert sorted(shell.states()) == list(range(10))
    assert set(shell.states().values()) <= {"COMPLETE", "PRUNED"}
    assert finished <= shell.finished(), "a finished trial was touched"
    assert reported <= shell.stored(), "a reported value was lost"
    for folder in (shell.study / "trials").iterdir():
        lines = (folder / "progress.jsonl").read_text().splitlines()
        steps = [json.loads(line)["step"] for line in lines if '"step"' in line]
        attempts = [json.loads(line) for line in lines if "resumed_from" in line]
        # A checkpoint an epoch: each new attempt repeats one epoch at most.
        assert len(steps) - len(set(steps)) <= len(attempts) - 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_everything_and_says_how_to_resume(
    shell: Shell, number: signal.Signals
) -> None:
    words = ["--trials", "4", "epoch_seconds=0.1", "study.pruner.type=none"]
    process = shell.start(*words)
    until(lambda: (shell.study / "trials/00001/progress.jsonl").exists())
    until(lambda: epochs_reported(shell, 1) >= 2)
    os.killpg(process.pid, number)  # as a terminal does: to everything in the foreground
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 130, printed
    assert "same command again to resume" in " ".join(printed.split())
    assert "Traceback" not in printed
    until(lambda: not shell.processes(), seconds=5)
    shell.finish(*words)
    assert shell.states() == dict.fromkeys(range(4), "COMPLETE")


def test_ctrl_c_while_the_workers_start_is_no_accident(shell: Shell) -> None:
    process = shell.start("--trials", "2", "study.pruner.type=none")
    until(lambda: any("forkserver" in " ".join(_command(p)) for p in shell.processes()))
    time.sleep(0.3)  # torch is being imported
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 130, printed
    assert "Traceback" not in printed
    shell.finish("--trials", "2", "study.pruner.type=none")
    assert shell.states() == {0: "COMPLETE", 1: "COMPLETE"}


def test_a_second_coordinator_is_refused_with_the_reason(shell: Shell) -> None:
    """In the same folder by the lock, from another folder by the lease in the storage."""
    storage = f"sqlite:///{shell.folder}/shared.db"
    words = ["--trials", "2", "--storage", storage, "epoch_seconds=0.5", "study.pruner.type=none"]
    first = shell.start(*words)
    until(lambda: (shell.study / "trials/00000/progress.jsonl").exists())
    for runs in ("runs", "elsewhere"):
        second = shell.start(*words, runs=runs)
        printed, _ = second.communicate(timeout=30)
        assert second.returncode == 2, printed
        assert "is in use by process" in printed
        assert str(first.pid) in printed
        assert "--name" in printed
    first.send_signal(signal.SIGKILL)
    first.communicate()
    until(lambda: not shell.processes())
    assert shell.finish(*words), "a dead coordinator does not bar the way"


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
