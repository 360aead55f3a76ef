"""One coordinator per study: a file lock for the folder, and a lease in the storage."""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from tunewright.errors import NotWritten, StudyError
from tunewright.runs.atomic import IN_RUNS
from tunewright.runs.machine.temporary_folders import is_alive
from tunewright.search.study.study import Study

BEAT_SECONDS = 20.0
LEASE_SECONDS = 120.0
"""Seconds without renewal after which a coordinator on another machine counts as dead."""


class FolderLock:
    """A lock held while the process lives; the system releases it however the process ends."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
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
        try:
            os.ftruncate(self._descriptor, 0)
            holder = f"process {os.getpid()} on {socket.gethostname()}"
            os.pwrite(self._descriptor, holder.encode(), 0)
        except OSError as error:
            os.close(self._descriptor)
            raise NotWritten(
                f"{self.path} cannot be written: {error.strerror}", remedy=IN_RUNS
            ) from None

    def release(self) -> None:
        """Release the lock, so that another coordinator can start."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


class Lease:
    """A lease stored with the study, which shows coordinators elsewhere that this one is alive."""

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
        """Renew the lease if due; raise StudyError when another coordinator took over."""
        if time.monotonic() - self._beat < BEAT_SECONDS:
            return
        refuse_if_alive(self._study.name, self._study.lease())
        self._study.set_lease({**self._own, "beat": time.time()})
        # Verify the first lease soon: two coordinators that start together see no other lease.
        first = self._beat < 0
        self._beat = time.monotonic() - (BEAT_SECONDS - 1.0 if first else 0.0)

    def release(self) -> None:
        """Release the lease, unless another coordinator has taken over or the storage is gone."""
        with contextlib.suppress(StudyError):
            if self._own.items() <= self._study.lease().items():
                self._study.set_lease({})


def refuse_if_alive(name: str, other: Mapping[str, Any] | None) -> None:
    """Raise StudyError when the coordinator that left this lease is alive.

    On the same machine the process is looked up; elsewhere the lease must have been renewed
    recently.
    """
    if not other or not other.get("pid"):
        return
    if other["host"] == socket.gethostname():
        alive = other["pid"] != os.getpid() and is_alive(other["pid"], other["started"])
    else:
        alive = time.time() - other["beat"] < LEASE_SECONDS
    if alive:
        raise _held_by(f"the study {name!r}", f"process {other['pid']} on {other['host']}")


def _held_by(what: str, holder: str) -> StudyError:
    return StudyError(
        f"{what} is in use by {holder}",
        expected="one coordinator per study, since only one may write",
        remedy=(
            "Wait for it, stop it with Ctrl-C there, or choose another --name. To run more "
            "trials at once, raise its --jobs."
        ),
    )
