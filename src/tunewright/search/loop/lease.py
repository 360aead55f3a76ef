"""One coordinator per study: a lease on its folder, and one in its storage.

The folder decides between coordinators of one folder. The storage tells those of other folders,
which share a database, and older versions.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunewright.errors import LeaseLost, NotWritten, StudyError, printable
from tunewright.runs.atomic import IN_RUNS
from tunewright.runs.lease import lease as folder_leases
from tunewright.runs.lease.holder import Holder, fate_of, read_holder, this_process
from tunewright.runs.lease.lease import ContentLease, SilenceWatch, WaitNotices, held_by
from tunewright.search.study.study import Study

BEAT_SECONDS = 20.0
"""Time between two renewals in the storage."""

Notice = Callable[[str], None]


def say(text: str) -> None:
    """Print a notice where nobody watches."""
    print(f"tunewright: {printable(text)}", file=sys.stderr)


class FolderLock:
    """The lease on a folder of runs, from the start until `release`; renewed by a thread.

    Raises LeaseHeld while a living process holds it. For one on another host that is silent it
    waits until the lease has ended, and says so. predecessor: the holder that it took over from.
    """

    def __init__(self, folder: Path, notice: Notice = say) -> None:
        self.path = folder
        try:
            self._lease = ContentLease(folder, f"the study folder {folder}", notice=notice)
        except OSError as error:
            unusable = isinstance(error, FileExistsError | NotADirectoryError | PermissionError)
            kind, remedy = (
                (StudyError, "Choose another place with --runs-dir.")
                if unusable
                else (NotWritten, IN_RUNS)
            )
            raise kind(
                f"the study folder {folder} cannot be written ({error.strerror or error})",
                remedy=remedy,
            ) from None
        self.predecessor = self._lease.predecessor
        self.ended: Mapping[str, Any] = {}

    def verify(self) -> None:
        """Raise LeaseLost when another coordinator has taken over; see `ContentLease.verify`."""
        self._lease.verify()

    def release(self) -> None:
        """Release the folder, so that another coordinator can start."""
        self._lease.release()


class Lease:
    """The lease stored with the study, which shows other coordinators that this one is alive.

    lock: the lease on the study's folder, which `renew` looks at as well.
    """

    def __init__(self, study: Study, lock: FolderLock | None = None) -> None:
        self._study, self._lock = study, lock
        self._own, self._count = this_process(), 0
        self._beat = -BEAT_SECONDS
        if lock is not None:
            study.guard = lock.verify
        refuse_if_alive(study.name, study.lease, lock)
        self.renew()

    def renew(self) -> None:
        """Renew the lease if due; raise LeaseLost when another coordinator took over.

        That of the folder is looked at on each call.
        """
        if self._lock is not None:
            self._lock.verify()
        if time.monotonic() - self._beat < BEAT_SECONDS:
            return
        self._refuse_other()
        self._count += 1
        # Older versions compare `beat` with their clock; this one only looks whether it changes.
        beat = {"beat": time.time(), "count": self._count}
        self._study.set_lease({**self._own.as_stored(), **beat})
        # Verify the first lease soon: two coordinators that start together see no other lease.
        first = self._beat < 0
        self._beat = time.monotonic() - (BEAT_SECONDS - 1.0 if first else 0.0)

    def release(self) -> None:
        """Release the lease, unless another coordinator has taken over or the storage is gone."""
        with contextlib.suppress(StudyError):
            if read_holder(self._study.lease()) == self._own:
                self._study.set_lease({})

    def _refuse_other(self) -> None:
        """Raise LeaseLost when the lease that this process had stored is now another's."""
        other = read_holder(self._study.lease()) if self._count else None
        if other is None or _is_same(other, self._own) or fate_of(other) == "dead":
            return
        raise LeaseLost(
            f"the study {self._study.name!r} is in use by {other}",
            expected="one coordinator per study; this one stops, and writes nothing more",
            remedy="Wait for the other one, or choose another --name.",
        )


def refuse_if_alive(
    name: str,
    read: Callable[[], Mapping[str, Any]],
    lock: FolderLock | None = None,
    notice: Notice = say,
) -> None:
    """Raise LeaseHeld when the coordinator that left the lease in a study's storage is alive.

    On the same host the process is looked up. One elsewhere is alive when its lease changes while
    this function watches it; it returns when that has not changed for as long as a lease lasts.
    read: returns the lease. lock: the lease on the folder; of the holder before, and of one that
    was found silent already, nothing is awaited.
    """
    stored = read()
    holder = read_holder(stored)
    if holder is None or _is_same(holder, this_process()):
        return
    if lock is not None and (stored == lock.ended or _is_same(holder, lock.predecessor)):
        return
    fate, watch = fate_of(holder), SilenceWatch()
    told = WaitNotices(f"the study {name!r}", str(holder), notice)
    while fate == "unknown":
        silent = watch.look(stored)
        if silent is None:
            fate = "alive" if read_holder(stored) is not None else "dead"
        elif silent >= folder_leases.LEASE_SECONDS:
            fate = "dead"
        else:
            told.tell(silent)
            time.sleep(folder_leases.LOOK_SECONDS)
            stored = read()
    if fate == "alive":
        raise held_by(f"the study {name!r}", str(holder))
    if lock is not None:
        lock.ended = stored


def _is_same(one: Holder, other: Holder | None) -> bool:
    """Return whether two leases are of one process; older versions do not store all of it."""
    if other is None or (one.host.name, one.pid) != (other.host.name, other.pid):
        return False
    if one.born and other.born:
        return one == other
    return abs(one.started - other.started) < 2.0
