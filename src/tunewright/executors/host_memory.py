"""The memory of this machine: whether another run has room beside those that run here."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tunewright.executors.executor import Resources
from tunewright.runs.folder import RunFolder
from tunewright.runs.machine.free_memory import free_device_mib, free_mib, kills
from tunewright.runs.progress import read_progress

RESERVE_MIB = 256.0
"""RAM left to the coordinator and to other programs."""
DEVICE_SECONDS = 5.0
"""Seconds for which a reading of the GPU driver is reused; a query takes up to a second."""


@dataclass(frozen=True)
class RunPlace:
    """Where a run is or would be: the RAM (MiB) its process holds already, and its GPU if any."""

    held_mib: float = 0.0
    gpu: str | None = None


@dataclass(frozen=True)
class Occupant:
    """A run on this machine, what it asked for, and where it is."""

    folder: RunFolder
    resources: Resources
    place: RunPlace

    @property
    def reported_device_mib(self) -> float:
        """The GPU memory (MiB) that the run has reported; 0 before its first report."""
        reports = read_progress(self.folder.progress)
        if not reports or reports[-1].attempt != self.folder.attempt:
            return 0.0
        return reports[-1].device_mib


class HostMemory:
    """The free memory of this machine, and the kernel's kills since this object was made.

    limit_gib: what a run can hold at most; on a GPU it limits the GPU's memory.
    """

    def __init__(self, limit_gib: float | None) -> None:
        self._limit_mib = math.inf if limit_gib is None else limit_gib * 1024
        self._kills = kills()
        self._devices: dict[str, tuple[float, float | None]] = {}

    def shortage(
        self, wanted: Resources, place: RunPlace, running: Sequence[Occupant]
    ) -> str | None:
        """Return what a run at `place` would lack beside the others, as text; None when it fits.

        Each run is counted with its expected peak, of which it holds a part already.
        """
        bound = self._limit_mib if place.gpu is None else math.inf
        growing = sum(
            max(0.0, min(run.resources.memory_mib or 0.0, bound) - run.place.held_mib)
            for run in running
        )
        needed = max(0.0, min(wanted.memory_mib or 0.0, bound) - place.held_mib)
        left = free_mib() - RESERVE_MIB - growing
        if needed > left:
            return _in_gib(needed, left)
        if place.gpu is None:
            return None
        return self._device_shortage(
            wanted, place.gpu, [run for run in running if run.place.gpu == place.gpu]
        )

    def was_short(self) -> bool:
        """Return whether the kernel has killed a process for lack of memory; count it as answered.

        The kernel counts the processes that it kills, but does not say which they were.
        """
        if kills() <= self._kills:
            return False
        self._kills += 1
        return True

    def _device_shortage(
        self, wanted: Resources, gpu: str, beside: Sequence[Occupant]
    ) -> str | None:
        if not beside:
            return None
        free = self.free_on(gpu)
        if free is None:
            return None
        needed = min(wanted.device_mib or 0.0, self._limit_mib)
        left = free - sum(
            max(
                0.0,
                min(run.resources.device_mib or 0.0, self._limit_mib) - run.reported_device_mib,
            )
            for run in beside
        )
        return _in_gib(needed, left) if needed > left else None

    def free_on(self, gpu: str) -> float | None:
        """Return the free memory of a GPU (MiB), a few seconds old; None where it is not known."""
        asked, free = self._devices.get(gpu, (-DEVICE_SECONDS, None))
        if time.monotonic() - asked >= DEVICE_SECONDS:
            free = free_device_mib(gpu)
            self._devices[gpu] = time.monotonic(), free
        return free


def _in_gib(needed_mib: float, left_mib: float) -> str:
    needed, left = needed_mib / 1024, max(0.0, left_mib) / 1024
    return f"needs about {needed:.1f} GiB, {left:.1f} GiB free"
