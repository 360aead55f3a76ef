"""How torch's CPU threads wait for each other: awake while cores are free, else asleep.

Each operation is shared among the threads, and whoever is ready waits for the slowest. GNU's
OpenMP runtime, with which torch is built for Linux, first has them look again and again for about
3 ms. While cores are free that is up to twice as fast as to sleep; beside other work they use up
the very core that the slowest one needs, and training takes 9 to 28 times as long.

How long they look is fixed when the runtime is loaded, but for one thing: it is next to nothing
while the runtime manages more threads than there are cores
(https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html). So a team that does nothing is
added while threads should sleep, and ended when they may look again: at any moment, with no new
process, and with no other number of threads, which would change the last digits of what is
computed. What decides is how often the threads themselves wanted a core and had none.

LLVM's runtime (macOS, some conda builds) gives its core away while it looks, and is left alone;
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
"""How often the threads' own waiting is looked at: .3 ms each time."""
BUSY, CALM = 0.10, 0.06
"""Share of the wanted time without a core above which threads sleep, and below which not."""
CALM_TICKS = 5
"""So many calm looks in a row, until they no longer sleep: a neighbour may only take a breath."""
PRESSURE = 0.20
"""The same for a process that has just begun, of the whole machine over the last ten seconds."""
MOST_IDLE = 128
"""Threads that the idle team may need, which are as many as there are cores without work."""
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
"""What a user sets to decide it."""


def set_by_user(environment: Mapping[str, str]) -> str:
    """The variable by which the user has decided how threads wait; empty without one."""
    return next((f"{name}={environment[name]}" for name in WAITING if environment.get(name)), "")


def why_crowded() -> str:
    """Why a process that begins now should have its threads sleep; empty while cores are free.

    By the kernel's measure of pressure; where that is not told, by what runs in this moment.
    """
    share, others = pressure(), runnable()
    if share is not None:
        return f"{share:.0%} of the last 10 s something waited for a core" * (share > PRESSURE)
    if others is not None and others >= cores():
        return f"{others} other thread(s) want the {cores()} core(s)"
    return ""


def describe_waits(threads: int, environment: Mapping[str, str]) -> str:
    """How the threads of a worker wait, for the line that says how many it has; or nothing."""
    if threads == 1:
        return ""
    if variable := set_by_user(environment):
        return f"; threads wait for each other as {variable} says"
    why = why_crowded()
    if not why:
        return ""
    return (
        f"; threads sleep while they wait for each other, since {why}; executor.threads=1, with "
        "which nobody waits, can be faster and changes the last digits"
    )


@dataclass
class Rule:
    """Whether threads sleep, from look to look; it takes longer to believe in calm than in trouble.

    asleep: what it comes to.
    """

    asleep: bool = False
    calm_ticks: int = 0

    def look(self, share: float | None) -> bool:
        """Take in the share of the wanted time without a core; None says nothing."""
        if share is None:
            return self.asleep
        self.calm_ticks = self.calm_ticks + 1 if share < CALM else 0
        if share > BUSY:
            self.asleep = True
        elif self.calm_ticks >= CALM_TICKS:
            self.asleep = False
        return self.asleep


class ThreadWaits:
    """Watches over the threads of this process while it works; one for each process.

    environment: where the user may have decided. sleep: what makes torch's threads sleep, and
    returns what ends that; None where nothing can.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        sleep: Callable[[int], Callable[[], None]] | None = None,
    ) -> None:
        self._free = not set_by_user(environment)
        self._sleep = sleep or _openmp_sleep
        self._rule = Rule()
        self._wake: Callable[[], None] | None = None
        self._slept_seconds = self._seconds = 0.0

    @contextmanager
    def watch(self, threads: int | None) -> Iterator[None]:
        """Within the block, have the threads sleep or not, as fits what else the machine does.

        threads: of torch; one waits for nobody, None are all cores.
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
        """Add to a run's log what the last block came to, unless threads never slept."""
        if not self._slept_seconds:
            return
        with suppress(OSError), log.open("a", encoding="utf-8") as file:
            file.write(
                f"threads: for {self._slept_seconds:.1f} of {self._seconds:.1f} s they slept while "
                "they waited for each other, since other work wanted the cores\n"
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


def _openmp_sleep(threads: int) -> Callable[[], None]:
    """Have GNU's runtime manage more threads than there are cores; returns what ends it."""
    library = _gnu_openmp()
    # The cores that the runtime counted when it was loaded, and a team of torch's has some.
    idle = len(os.sched_getaffinity(0)) - threads + 2 if library is not None else 0
    if library is None or idle > MOST_IDLE:
        return _nothing
    ready, end = threading.Event(), threading.Event()

    def hold() -> None:
        # A function of the library itself, so that no thread of the team needs the interpreter.
        harmless = ctypes.cast(library.omp_get_thread_num, ctypes.c_void_p)
        library.GOMP_parallel(harmless, None, ctypes.c_uint(max(2, idle)), ctypes.c_uint(0))
        ready.set()
        end.wait()  # with this thread its team ends

    holder = threading.Thread(target=hold, name="idle-team", daemon=True)
    holder.start()
    ready.wait()

    def wake() -> None:
        end.set()
        holder.join()

    return wake


def _gnu_openmp() -> Any:
    """The OpenMP runtime that torch uses in this process; None unless it is GNU's."""
    torch = sys.modules.get("torch")
    if torch is None or torch.__file__ is None or sys.platform != "linux":
        return None
    try:
        # Looks a name up in this library and then in those that it was linked with.
        library = ctypes.CDLL(
            str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"),
            mode=os.RTLD_NOLOAD | os.RTLD_NOW,
        )
    except OSError:
        return None
    llvm = hasattr(library, "kmp_set_blocktime")
    return library if hasattr(library, "GOMP_parallel") and not llvm else None


def _nothing() -> None:
    """Where nothing was done, nothing ends."""
