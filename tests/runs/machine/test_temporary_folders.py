"""Temporary folders of killed sessions are swept; those of living ones stay."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from tunewright.runs.machine import temporary_folders
from tunewright.runs.machine.temporary_folders import is_alive, prefix, sweep


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def made(name: str) -> Path:
    folder = Path(tempfile.gettempdir()) / name
    folder.mkdir()
    (folder / "file").touch()
    return folder


def test_the_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(place: Path) -> None:
    code = (
        "import tempfile; from tunewright.runs.machine.temporary_folders import prefix\n"
        "print(tempfile.mkdtemp(prefix=prefix('plan')), flush=True)\n"
        "input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(place)},
    )
    assert process.stdout is not None
    theirs = Path(process.stdout.readline().strip())
    own = Path(tempfile.mkdtemp(prefix=prefix()))
    sweep()
    assert theirs.is_dir()
    process.kill()
    process.communicate()
    sweep()
    assert not theirs.exists()
    assert own.is_dir()


def test_a_number_that_another_process_has_now_is_no_sign_of_life() -> None:
    began = int(psutil.Process().create_time())
    assert is_alive(os.getpid(), began)
    assert not is_alive(os.getpid(), began - 1000)
    reused = made(f"tunewright-sockets-{os.getpid()}.{began - 1000}-abc")
    sweep()
    assert not reused.exists()


def test_other_names_links_and_folders_of_others_stay(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = "999999999.1-abc"
    kept = [made(name) for name in ("tunewright-notes", f"other-{dead}", "tunewright-1-abc")]
    aim = made("aim")
    (place / f"tunewright-{dead}x").symlink_to(aim)
    sweep()
    assert all(folder.is_dir() for folder in [*kept, aim])
    theirs = made(f"tunewright-plan-{dead}")
    own = os.getuid()
    monkeypatch.setattr(temporary_folders.os, "getuid", lambda: own + 1)
    sweep()
    assert theirs.is_dir()
    monkeypatch.setattr(temporary_folders.os, "getuid", lambda: own)
    sweep()
    assert not theirs.exists()
