"""A lease on a folder, renewed while its process lives.

Nobody compares clocks: a holder counts its renewals, and who wants the folder watches the count by
its own clock. On the holder's own host the process is looked up instead, which takes no time. A
holder that was asleep for long looks whether it still has the lease before it goes on.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunewright.errors import LeaseHeld, LeaseLost, NotWritten
from tunewright.runs.atomic import IN_RUNS
from tunewright.runs.lease.holder import Holder, fate_of, read_holder, this_process
from tunewright.runs.lease.lease_files import StoredLease, make_next, read_newest, remove_older
from tunewright.runs.lease.lease_files import replace as replace_lease
from tunewright.runs.quantities import duration

BEAT_SECONDS = 5.0
LEASE_SECONDS = 120.0
"""How long a holder on another host must be silent until it counts as dead. Network file systems
show what others wrote up to a minute late."""
LOOK_SECONDS = 0.5
"""Time between two looks at a lease that somebody holds."""
TELL_SECONDS = 30.0
"""Time between two notices of one who waits."""
NAME = "lease"
"""The folder of a lease, in the folder that it is about."""


def seconds_awake_or_asleep() -> float:
    """Return a time that nobody sets, and that goes on while the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class SilenceWatch:
    """Measures by this process's clock how long something that others write has not changed."""

    def __init__(self) -> None:
        self._seen: object = None
        self._since = 0.0

    def look(self, content: object) -> float | None:
        """Return the seconds since `content` was first seen; None when it has changed since."""
        now = time.monotonic()
        if self._seen is None:
            self._seen, self._since = content, now
        return now - self._since if content == self._seen else None


class WaitNotices:
    """Says why one waits for a holder of whom nothing is known, and for how long."""

    def __init__(self, what: str, holder: str, notice: Callable[[str], None]) -> None:
        self._what, self._holder, self._notice = what, holder, notice
        self._told: float | None = None

    def tell(self, silent: float) -> None:
        """Say it at the first call, and every 30 seconds. silent: seconds until now."""
        left = duration(max(1.0, LEASE_SECONDS - silent))
        if self._told is None:
            self._notice(
                f"{self._what} was left by {self._holder}, or is in use there: taking over in "
                f"{left} if it shows no sign of life (Ctrl-C: not now)"
            )
        elif silent - self._told >= TELL_SECONDS:
            self._notice(f"{self._holder} is silent: taking over in {left}")
        else:
            return
        self._told = silent


class ContentLease:
    """The lease on a folder, held by this process from the start; see `claim` for how.

    what: the folder in messages. predecessor: the holder before, if its lease was not released.
    """

    def __init__(
        self,
        folder: Path,
        what: str,
        *,
        waits: bool = False,
        notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Claim the lease. waits: for a living holder too, instead of raising LeaseHeld.

        notice: called while waiting for one on another host. Raises OSError where the folder
        cannot be written.
        """
        self.folder, self.what = folder / NAME, what
        self.predecessor: Holder | None = None
        self._holder, self._count = this_process(), 0
        self._lost: str = ""
        self._alone = threading.Lock()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.number = self._claim(waits, notice)
        self._renewed = seconds_awake_or_asleep()
        remove_older(self.folder, self.number)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def verify(self) -> None:
        """Raise LeaseLost when another process has taken over, as after a sleep of this one.

        Looks at the disk only where the last renewal was long ago. Raises NotWritten where the
        lease cannot be renewed, so that others will take over.
        """
        if not self._lost and seconds_awake_or_asleep() - self._renewed > LEASE_SECONDS / 2:
            try:
                self._beat()
            except OSError as error:
                raise NotWritten(
                    f"the lease in {self.folder} cannot be renewed: {error.strerror or error}",
                    remedy=IN_RUNS,
                ) from None
        if self._lost:
            raise LeaseLost(
                f"{self.what} was taken over by {self._lost}, since this process was silent for "
                f"{LEASE_SECONDS:g} s or more",
                expected="one coordinator at a time; this one stops, and writes nothing more",
                remedy="Watch the other one: tunewright status.",
            )

    def release(self) -> None:
        """Give the lease back, unless another process has it."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(OSError):  # of a full disk; others see that this process is gone
            if not self._lost and read_newest(self.folder).number == self.number:
                replace_lease(self.folder, self.number, {**self._values(), "released": True})

    def _claim(self, waits: bool, notice: Callable[[str], None]) -> int:
        watch, told, watched = SilenceWatch(), None, 0
        while True:
            newest = read_newest(self.folder)
            holder = read_holder(newest.values)
            if newest.number != watched:
                watch, told, watched = SilenceWatch(), None, newest.number
            if newest.is_held:
                fate = "unknown" if holder is None else fate_of(holder)
                silent = watch.look(newest.content)
                if fate == "alive" or silent is None:
                    if not waits:
                        raise held_by(self.what, str(holder or "another process"))
                    watch = SilenceWatch()
                    time.sleep(LOOK_SECONDS / 10)
                    continue
                if fate == "unknown" and silent < LEASE_SECONDS:
                    told = told or WaitNotices(self.what, str(holder or "a process"), notice)
                    told.tell(silent)
                    time.sleep(min(LOOK_SECONDS, LEASE_SECONDS - silent))
                    continue
            if make_next(self.folder, newest.number + 1, self._values()):
                self.predecessor = holder if newest.is_held else None
                return newest.number + 1

    def _values(self) -> dict[str, Any]:
        return {**self._holder.as_stored(), "count": self._count}

    def _keep(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # of a full disk, or a folder that is gone
                self._beat()

    def _beat(self) -> None:
        """Renew the lease, or note who has it now."""
        with self._alone:
            newest = read_newest(self.folder)
            if newest.number > self.number:
                self._lost = str(read_holder(newest.values) or "another process")
                return
            self._count += 1
            began = seconds_awake_or_asleep()
            replace_lease(self.folder, self.number, self._values())
            self._renewed = began


def held_by(what: str, holder: str) -> LeaseHeld:
    """Return the error over a folder or a study that a living process holds."""
    return LeaseHeld(
        f"{what} is in use by {holder}",
        expected="one coordinator per study, since only one may write",
        remedy=(
            "Wait for it, stop it with Ctrl-C there, or choose another --name. To run more "
            "trials at once, raise its --jobs."
        ),
    )


def read_lease(folder: Path) -> StoredLease:
    """Return the newest lease on a folder, without waiting; none where it cannot be read."""
    try:
        return read_newest(folder / NAME)
    except OSError:
        return StoredLease(0)
