"""A study that is run by typing its command, to be killed at any moment."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
from practice.quadratic.studies import rows

from tunewright.runs.progress import read_progress

MARK = "TUNEWRIGHT_TEST"


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


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def epochs_reported(shell: Shell, number: int) -> int:
    return len(read_progress(shell.study / f"trials/{number:05d}/progress.jsonl"))


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
