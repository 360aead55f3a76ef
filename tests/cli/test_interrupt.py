"""Ctrl-C at any moment of any command, with real processes: one line, exit code 130."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
INTERRUPTED = (130, -signal.SIGINT)
"""The second one is what Python makes of a Ctrl-C in an import; a shell shows 130 for both."""


class Typed:
    """A command in a process group of its own, as a terminal starts it."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._file = folder.with_name(f"{folder.name}-said.txt")
        with self._file.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tunewright", *words],
                cwd=folder,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._file.read_text()

    def until(self, pattern: str, seconds: float = 120.0) -> "Typed":
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.said):
            assert time.monotonic() < deadline, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.02)
        return self

    def interrupt(self) -> "Typed":
        os.killpg(self.process.pid, signal.SIGINT)
        return self

    def end(self) -> int:
        return self.process.wait(timeout=120)


@pytest.fixture
def typing(tmp_path: Path) -> Iterator[Callable[..., Typed]]:
    """Types a command in the test's folder; none outlives the test."""
    begun: list[Typed] = []

    def typing(*words: str) -> Typed:
        begun.append(Typed(tmp_path, *words))
        return begun[-1]

    yield typing
    for typed in begun:
        if typed.process.poll() is None:
            os.killpg(typed.process.pid, signal.SIGKILL)
            typed.process.wait()


@pytest.mark.parametrize("command", ["tune", "train", "show", "space", "plan"])
@pytest.mark.parametrize("seconds", [0.3, 0.6, 1.0])
def test_in_the_first_second_of_any_command(
    typing: Callable[..., Typed], command: str, seconds: float
) -> None:
    typed = typing(command, "quadratic", "epoch_seconds=5.0")
    time.sleep(seconds)
    code = typed.interrupt().end()
    assert code in (*INTERRUPTED, 0), typed.said  # a fast one may have ended
    if code == 130:
        assert "Traceback" not in typed.said
        assert "YAML" not in typed.said
        assert re.search(r"^tunewright: (interrupted|stopped)", typed.said, re.MULTILINE)


def test_a_study_says_at_once_that_it_is_stopping(
    tmp_path: Path, typing: Callable[..., Typed]
) -> None:
    typed = typing("tune", "quadratic", "epoch_seconds=3.0", "--jobs", "1", "--verbose")
    typed.until("trial 0 on worker")
    until_reported(tmp_path / "runs/quadratic/trials/00000/progress.jsonl")
    began = time.monotonic()
    typed.interrupt().until("stopping: saving running trials")
    said_after = time.monotonic() - began
    assert "press Ctrl-C again to quit now" in typed.said
    assert typed.end() == 130
    assert time.monotonic() - began > said_after, "the trial finished its epoch afterwards"
    assert "same command again to resume" in " ".join(typed.said.split())


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, typing: Callable[..., Typed]) -> None:
    typed = typing("tune", "quadratic", "epoch_seconds=600.0", "--jobs", "1", "--verbose")
    typed.until("trial 0 on worker")
    time.sleep(1.0)
    typed.interrupt().until("press Ctrl-C again to quit now")
    assert typed.interrupt().end() == 130, "long before the epoch, or the grace, is over"
    assert "Traceback" not in typed.said


def test_a_plan_leaves_nothing_behind(tmp_path: Path, typing: Callable[..., Typed]) -> None:
    typed = typing("plan", "quadratic", "epoch_seconds=600.0", "--jobs", "2")
    typed.until("measuring")
    time.sleep(2.0)
    assert typed.interrupt().end() == 130
    assert "Traceback" not in typed.said
    assert list(tmp_path.iterdir()) == []


def until_reported(file: Path) -> None:
    deadline = time.monotonic() + 120
    while not (file.exists() and '"step"' in file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
