"""One coordinator a study: a file lock for the folder, a lease in the storage for the rest."""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from tunewright.errors import StudyError
from tunewright.search.study.study import Study

BEAT_SECONDS = 20.0
LEASE_SECONDS = 120.0
"""A coordinator on another machine that was silent for so long is taken for dead."""


class FolderLock:
    """Held while the process lives; the system releases it whichever way it dies."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StudyError(
                f"the study folder {folder} cannot be written ({error.strerror})",
                remedy="Choose another place with --runs-dir.",
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._descriptor, 200).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise _held_by(f"the study folder {folder}", holder or "another process") from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)

    def release(self) -> None:
        """Let another coordinator in."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


class Lease:
    """A sign of life of this process, stored with the study for coordinators elsewhere."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._own = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
        }
        self._beat = -BEAT_SECONDS
        self.renew()

    def renew(self) -> None:
        """Say that we live, if it is time; StudyError when another coordinator said so since."""
        if time.monotonic() - self._beat < BEAT_SECONDS:
            return
        refuse_if_alive(self._study.name, self._study.lease())
        self._study.set_lease({**self._own, "beat": time.time()})
        # The first beat is verified soon: two that began at the same moment saw no other.
        first = self._beat < 0
        self._beat = time.monotonic() - (BEAT_SECONDS - 1.0 if first else 0.0)

    def release(self) -> None:
        """Let others in, unless one of them has taken over or the storage is gone."""
        with contextlib.suppress(StudyError):
            if self._own.items() <= self._study.lease().items():
                self._study.set_lease({})


def refuse_if_alive(name: str, other: Mapping[str, Any] | None) -> None:
    """StudyError when the coordinator that left this lease is alive.

    On the same machine the process itself is looked up; elsewhere the beat must be fresh.
    """
    if not other or not other.get("pid"):
        return
    if other["host"] == socket.gethostname():
        alive = other["pid"] != os.getpid() and _runs(other["pid"], other["started"])
    else:
        alive = time.time() - other["beat"] < LEASE_SECONDS
    if alive:
        raise _held_by(f"the study {name!r}", f"process {other['pid']} on {other['host']}")


def _runs(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < 2.0
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _held_by(what: str, holder: str) -> StudyError:
    return StudyError(
        f"{what} is being worked on by {holder}",
        expected="one coordinator a study, since only one may write",
        remedy="Wait for it, stop it with Ctrl-C there, or choose another --name. To run more "
        "trials at once, give that one more --jobs.",
    )
