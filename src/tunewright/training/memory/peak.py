"""The peak memory of a run, counting only what its own process holds.

That is private pages, pages shared with other processes by name, and swapped pages: what the
machine gets back when the process ends. Pages of mapped files are not counted, since all workers
share those of a data set and the machine drops them when it needs memory. The proportional share of
every page (PSS) would split them fairly, but walks all page tables: 14 ms per look with nothing but
torch loaded, against 0.04 ms for this. Imports no torch.
"""

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.05
CHILDREN_SECONDS = 5.0
"""Intervals of sampling this process, and its children, which costs more."""


@dataclass(frozen=True)
class HeldMemory:
    """What a process holds now. mapped_mib: of files; highest_mib: its peak, files included."""

    private_mib: float
    mapped_mib: float
    highest_mib: float


def held_memory(pid: int | None = None) -> HeldMemory | None:
    """Return what a process holds, by default this one; None if it has ended."""
    try:
        status = Path(f"/proc/{pid or 'self'}/status").read_bytes()
    except OSError:
        return _held_elsewhere(pid)
    kib = {}
    for line in status.splitlines():
        name, _, value = line.partition(b":")
        if name in (b"RssAnon", b"RssShmem", b"RssFile", b"VmSwap", b"VmHWM"):
            kib[name] = int(value.split()[0])
    if b"RssAnon" not in kib:
        return None  # a zombie
    private = kib[b"RssAnon"] + kib.get(b"RssShmem", 0) + kib.get(b"VmSwap", 0)
    return HeldMemory(private / 1024, kib.get(b"RssFile", 0) / 1024, kib.get(b"VmHWM", 0) / 1024)


def children_mib(pid: int) -> float:
    """Return what the child processes of `pid` hold besides pages shared with it."""
    total = 0.0
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                for child in (thread / "children").read_text().split():
                    total += _share_mib(child)
    return total


class MemoryPeak:
    """The highest private memory of this process and its children from now until `close`.

    A thread samples every 50 ms. Peaks between samples are found by the kernel's mark of the
    highest resident set, if it can be reset: that mark minus the largest mapped size of any sample
    is a lower bound of the private peak. idle_mib: what was held at the start. own_mib: the peak
    of this process without its children, as far as `mib` has seen it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reset = reset_mark()
        start = held_memory() or HeldMemory(0.0, 0.0, 0.0)
        self.idle_mib = self.own_mib = start.private_mib
        self._peak, self._mapped, self._children = start.private_mib, start.mapped_mib, 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-peak", daemon=True)
        self._thread.start()

    def mib(self) -> float:
        """Return the peak so far."""
        now = held_memory()
        with self._lock:
            if now is not None:
                self._mapped = max(self._mapped, now.mapped_mib)
                self.own_mib = max(self.own_mib, now.private_mib)
                if self._reset:  # a mark of 900 MiB with at most 300 mapped: at least 600 private
                    self.own_mib = max(self.own_mib, now.highest_mib - self._mapped)
                self._peak = max(self._peak, self.own_mib, now.private_mib + self._children)
            return self._peak

    def close(self) -> None:
        """Stop sampling."""
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        due = time.monotonic() + CHILDREN_SECONDS / 5
        while not self._end.wait(SAMPLE_SECONDS):
            if time.monotonic() >= due:
                self._children = children_mib(os.getpid())
                due = time.monotonic() + CHILDREN_SECONDS
            self.mib()


def reset_mark() -> bool:
    """Reset the kernel's mark of the highest resident set; returns whether that worked."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _share_mib(pid: str) -> float:
    """Return a child's proportional share of private and named pages; it shares its parent's."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    names = ("Pss_Anon", "Pss_Shmem", "SwapPss")
    return sum(int(line.split()[1]) for line in lines if line.startswith(names)) / 1024


def _held_elsewhere(pid: int | None) -> HeldMemory | None:
    """Return the resident memory; without /proc, mapped files cannot be separated."""
    try:
        resident = psutil.Process(pid).memory_info().rss / 2**20
    except psutil.Error:
        return None
    return HeldMemory(resident, 0.0, resident)
