"""How torch's CPU threads wait for each other: spinning while cores are free, else sleeping.

Each operation is divided among the threads, and the fast ones wait for the slowest. GNU's OpenMP
runtime, which torch uses on Linux, lets a waiting thread spin for about 3 ms before it sleeps.
While cores are free, spinning is up to twice as fast as sleeping. Beside other work, spinning
threads occupy the core that the slowest thread needs, and training takes 9 to 28 times as long.

The spin time is fixed when the runtime is loaded, with one exception: it is almost zero while the
runtime manages more threads than there are cores
(https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html). So an idle team of threads is
started while threads should sleep, and ended when they may spin again. This works at any moment,
without a new process and without another number of threads, which would change the last digits of
the results. The decision depends on how often the threads wanted a core and had none.

LLVM's runtime (macOS, some conda builds) yields its core while it spins, so it is left unchanged;
so is whatever the user has set.
"""

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.runs.machine.free_cores import (
    cores,
    missed_share,
    pressure,
    runnable,
    scheduler_times,
)

TICK_SECONDS = 0.2
"""How often the threads' waiting is measured; one measurement costs 0.3 ms."""
BUSY, CALM = 0.10, 0.06
"""Shares of the wanted CPU time spent without a core: above BUSY threads sleep, below CALM the
measurement counts as calm."""
CALM_TICKS = 5
"""Calm measurements in a row before threads spin again: other work may only have paused."""
PRESSURE = 0.20
"""The same as BUSY for a new process: of the whole machine, over the last ten seconds."""
MOST_IDLE = 128
"""Maximum size of the idle team, which has about as many threads as there are unused cores."""
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
"""Environment variables with which a user decides how threads wait."""


def set_by_user(environment: Mapping[str, str]) -> str:
    """Return the `NAME=value` with which the user decides how threads wait, or an empty string."""
    return next((f"{name}={environment[name]}" for name in WAITING if environment.get(name)), "")


def why_crowded() -> str:
    """Return why the threads of a process that starts now should sleep; empty while cores are free.

    Uses the kernel's CPU pressure, or, where that is not available, the threads running now.
    """
    share, others = pressure(), runnable()
    if share is not None:
        return f"{share:.0%} of the last 10 s something waited for a core" * (share > PRESSURE)
    if others is not None and others >= cores():
        return f"{others} other thread(s) want the {cores()} core(s)"
    return ""


def describe_waits(threads: int, environment: Mapping[str, str]) -> str:
    """Return how the threads of a worker wait, for the line with their number; or empty."""
    if threads == 1:
        return ""
    if variable := set_by_user(environment):
        return f"; threads wait for each other as {variable} says"
    why = why_crowded()
    if not why:
        return ""
    return (
        f"; threads sleep while they wait for each other, since {why}; executor.threads=1 avoids "
        "the waiting: it can be faster, and changes the last digits of the results"
    )


@dataclass
class Rule:
    """Decides from measurements whether threads sleep: at once when busy, later when calm.

    asleep: the current decision.
    """

    asleep: bool = False
    calm_ticks: int = 0

    def look(self, share: float | None) -> bool:
        """Update with the share of the wanted time without a core (None: unknown)."""
        if share is None:
            return self.asleep
        self.calm_ticks = self.calm_ticks + 1 if share < CALM else 0
        if share > BUSY:
            self.asleep = True
        elif self.calm_ticks >= CALM_TICKS:
            self.asleep = False
        return self.asleep


class ThreadWaits:
    """Controls how the threads of this process wait; one instance for each process.

    environment: where the user may have decided it. sleep: makes torch's threads sleep and returns
    a function that ends that; None for the default, through GNU's OpenMP runtime.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        sleep: Callable[[int], Callable[[], None]] | None = None,
    ) -> None:
        self._free = not set_by_user(environment)
        self._sleep = sleep or openmp_sleep
        self._rule = Rule()
        self._wake: Callable[[], None] | None = None
        self._slept_seconds = self._seconds = 0.0

    @contextmanager
    def watch(self, threads: int | None) -> Iterator[None]:
        """Let threads sleep or spin within the block, depending on the other work of the machine.

        threads: torch's CPU threads; None means one for each core. A single thread never waits.
        """
        self._slept_seconds = self._seconds = 0.0
        threads = threads or cores()
        if threads == 1 or not self._free:
            yield
            return
        if why_crowded():
            self._rule = Rule(asleep=True)
        end = threading.Event()
        watcher = threading.Thread(
            target=self._watch, args=(threads, end), name="thread-waits", daemon=True
        )
        self._act(threads)
        watcher.start()
        try:
            yield
        finally:
            end.set()
            watcher.join()
            self._act(threads, ended=True)

    def note(self, log: Path) -> None:
        """Write to a run's log how long threads slept in the last block, unless they never did."""
        if not self._slept_seconds:
            return
        with suppress(OSError), log.open("a", encoding="utf-8") as file:
            file.write(
                f"threads: for {self._slept_seconds:.1f} of {self._seconds:.1f} s they slept while "
                "waiting for each other, because other work needed the cores\n"
            )

    def _watch(self, threads: int, end: threading.Event) -> None:
        before, then = scheduler_times(), time.monotonic()
        while not end.wait(TICK_SECONDS):
            after, now = scheduler_times(), time.monotonic()
            self._seconds += now - then
            self._slept_seconds += (now - then) * self._rule.asleep
            self._rule.look(missed_share(before, after, now - then))
            self._act(threads)
            before, then = after, now

    def _act(self, threads: int, *, ended: bool = False) -> None:
        asleep = self._rule.asleep and not ended
        if asleep and self._wake is None:
            self._wake = self._sleep(threads)
        elif not asleep and self._wake is not None:
            self._wake()
            self._wake = None


def openmp_sleep(threads: int) -> Callable[[], None]:
    """Make GNU's runtime manage more threads than there are cores; return what ends it."""
    library = gnu_openmp()
    # The affinity stands for the cores that the runtime counted when it was loaded. A team's master
    # is not counted: 8 cores, torch's team of 3, idle team of 8 - 3 + 2 = 7: 3 + 6 = 9 > 8.
    idle = len(os.sched_getaffinity(0)) - threads + 2 if library is not None else 0
    if library is None or idle > MOST_IDLE:
        return _nothing
    ready, end = threading.Event(), threading.Event()

    def hold() -> None:
        # A function of the library itself, so that the team's threads need no Python interpreter.
        harmless = ctypes.cast(library.omp_get_thread_num, ctypes.c_void_p)
        library.GOMP_parallel(harmless, None, ctypes.c_uint(max(2, idle)), ctypes.c_uint(0))
        ready.set()
        end.wait()  # the team ends with this thread

    holder = threading.Thread(target=hold, name="idle-team", daemon=True)
    holder.start()
    ready.wait()

    def wake() -> None:
        end.set()
        holder.join()

    return wake


def gnu_openmp() -> Any:
    """Return the OpenMP runtime that torch uses in this process, or None unless it is GNU's."""
    torch = sys.modules.get("torch")
    if torch is None or torch.__file__ is None or sys.platform != "linux":
        return None
    try:
        # Symbols are looked up in this library, then in the libraries it was linked with.
        library = ctypes.CDLL(
            str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"),
            mode=os.RTLD_NOLOAD | os.RTLD_NOW,
        )
    except OSError:
        return None
    llvm = hasattr(library, "kmp_set_blocktime")
    return library if hasattr(library, "GOMP_parallel") and not llvm else None


def _nothing() -> None:
    """End nothing, because nothing was started."""
