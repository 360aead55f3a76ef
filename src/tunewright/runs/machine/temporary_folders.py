"""Temporary folders that name their process, so that those of killed processes can be removed."""

import atexit
import os
import re
import shutil
import tempfile
from functools import cache
from multiprocessing import process
from pathlib import Path

import psutil

_NAME = re.compile(r"tunewright-(?:[a-z]+-)?(?P<pid>\d+)\.(?P<began>\d+)-\w+")


def prefix(purpose: str = "") -> str:
    """Return the beginning of a temporary folder's name: `tunewright-plan-4711.1764490000-`."""
    pid = os.getpid()
    kind = f"{purpose}-" if purpose else ""
    return f"tunewright-{kind}{pid}.{int(psutil.Process(pid).create_time())}-"


@cache
def place_sockets() -> None:
    """Let `multiprocessing` keep the sockets of this process and its children in a named folder.

    Its own folders do not tell whose they are. Call it before the first child is started.
    """
    folder = tempfile.mkdtemp(prefix=prefix("sockets"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    process.current_process()._config["tempdir"] = folder  # type: ignore[attr-defined]


def sweep() -> None:
    """Remove the temporary folders that killed processes of this user left on this machine."""
    for path in Path(tempfile.gettempdir()).glob("tunewright-*"):
        if (named := _NAME.fullmatch(path.name)) is None:
            continue
        try:
            if path.lstat().st_uid != os.getuid() or path.is_symlink():
                continue
        except OSError:  # just removed
            continue
        if not is_alive(int(named["pid"]), float(named["began"])):
            shutil.rmtree(path, ignore_errors=True)


def is_alive(pid: int, began: float) -> bool:
    """Return whether a process lives; began: its start, since another may have its number now."""
    try:
        found = psutil.Process(pid)
        same = abs(found.create_time() - began) < 2.0
        return bool(same and found.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
