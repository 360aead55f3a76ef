"""`tune --detach`: errors in the foreground, then a search in the background."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tunewright
from tunewright.errors import UsageError

TUNE = ("tune", "quadratic", "--detach", "--name", "x", "study.final=false", "executor.type=inline")


def typed(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tunewright", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=250)


def test_python_is_refused() -> None:
    with pytest.raises(UsageError, match=r"detach=True in Python.*tunewright tune"):
        tunewright.tune("quadratic", detach=True)


@pytest.mark.slow
def test_errors_at_the_door_are_shown(tmp_path: Path) -> None:
    ended = typed(tmp_path, *TUNE, "optim.lrx=1")
    assert ended.returncode == 2
    assert "optim.lrx is not a known key" in ended.stderr
    assert not (tmp_path / "runs/x/coordinator.log").exists()


@pytest.mark.slow
def test_a_search_goes_on_in_the_background_until_it_is_stopped(tmp_path: Path) -> None:
    ended = typed(tmp_path, *TUNE, "epoch_seconds=0.2", "--trials", "1000")
    assert ended.returncode == 0, ended.stderr
    found = re.search(r"kill -INT (\d+)", ended.stdout)
    assert found is not None, ended.stdout
    pid = int(found[1])
    try:
        assert os.getsid(pid) == pid, "no terminal takes it along"
        said = typed(tmp_path, "status", "runs/x", "--json").stdout
        assert '"running"' in said
        assert f'"pid": {pid}' in said
    finally:
        os.kill(pid, signal.SIGINT)
    log, until = tmp_path / "runs/x/coordinator.log", time.monotonic() + 100
    while "will resume from their last checkpoints" not in log.read_text():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)
    assert '"stopped"' in typed(tmp_path, "status", "x", "--json").stdout
