"""Decide which run may start with the free memory, and how to retry after running out of it."""

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunewright.config.schema import ExecutorConfig as ExecutorConfig
from tunewright.executors.executor import Executor, Handle, Need
from tunewright.executors.resources import WORKER_GIB
from tunewright.runs.folder import RunFolder
from tunewright.runs.machine.free_memory import free_device_mib, free_mib, kills
from tunewright.runs.progress import read_progress
from tunewright.runs.record import Outcome, Trial, speaks_of_memory
from tunewright.search.memory.oom_retry import describe_retry, next_retry, retry_level_of
from tunewright.search.memory.prediction import ExpectedPeak, Peaks

RESERVE_MIB = 256.0
"""RAM left to the coordinator and to other programs."""
DEVICE_SECONDS = 5.0
"""Seconds for which a reading of the GPU driver is reused; a query takes up to a second."""
LOG_TAIL_BYTES = 1000
"""Bytes at the end of a log that are searched for a dead worker's out-of-memory message."""


@dataclass
class _Running:
    """A run that was admitted, and its expected peak."""

    expected: ExpectedPeak
    alone: bool


class Memory:
    """Memory model of one session: learns from finished trials, and is asked before each start.

    limits: `memory_gib` bounds what a trial can need. notice: called with messages for the user.
    executor: where runs start, set before the first `can_start`.
    """

    executor: Executor

    def __init__(self, limits: ExecutorConfig, notice: Callable[[str], None]) -> None:
        limit, assumed = limits.memory_gib, WORKER_GIB * 1024
        self._limit_mib = math.inf if limit is None else limit * 1024
        self._peaks = Peaks(ExpectedPeak(min(assumed, self._limit_mib), assumed))
        self._notice = notice
        self._kills = kills()
        self._running: dict[Path, _Running] = {}
        self._notified: set[Path] = set()
        self._devices: dict[str, tuple[float, float | None]] = {}

    def learn(
        self, folder: RunFolder, parameters: Mapping[str, Any], outcome: Outcome | None = None
    ) -> None:
        """Learn from the peak of a run; a failed run may have ended before its peak.

        outcome: the stored one by default. A paused run has a peak too.
        """
        self._running.pop(folder.path, None)
        outcome = outcome or folder.read_outcome()
        if outcome is None or outcome.state == "failed" or not outcome.memory_mib:
            return
        level = retry_level_of(folder)
        peak = ExpectedPeak(outcome.memory_mib, outcome.device_mib)
        self._peaks.learn(parameters, level.parts if level else 1.0, outcome.idle_mib, peak)

    def can_start(
        self,
        name: str,
        folder: RunFolder,
        parameters: Mapping[str, Any],
        running: Sequence[Handle],
    ) -> bool:
        """Return whether a run may start beside the running ones; it always may when it is alone.

        name: used in the notice that it waits, which is sent once.
        """
        level = retry_level_of(folder)
        expected = self._peaks.predict(parameters, level.parts if level else 1.0)
        alone = level is not None and level.alone
        beside = [self._running[h.folder.path] for h in running if h.folder.path in self._running]
        if running:
            if alone or any(other.alone for other in beside):
                return False
            if lack := self._shortage(expected, running):
                if folder.path not in self._notified:
                    self._notified.add(folder.path)
                    self._notice(f"{name} waits: {lack}")
                return False
        self._running[folder.path] = _Running(expected, alone)
        return True

    def resources_for(self, folder: RunFolder) -> Need:
        """Return the resources that an admitted run requests from the executor."""
        running = self._running.get(folder.path)
        return Need(alone=self._one_slot or (running is not None and running.alone))

    def retry_after_oom(self, name: str, folder: RunFolder, outcome: Outcome) -> bool:
        """Return whether a run that ran out of memory is retried, and prepare it for that."""
        if outcome.state != "failed" or outcome.cause != "out of memory":
            return False
        before = retry_level_of(folder)
        alone = self._one_slot or (before is not None and before.alone)
        level = next_retry(folder, outcome, alone=alone)
        if level is None:
            return False
        batch_size = int(folder.read_config()["training"]["batch_size"])
        retry = describe_retry(level, before, batch_size)
        self._notice(f"{name} ran out of memory ({outcome.reason}); {retry}")
        return True

    def oom_outcome(self, handle: Handle) -> Outcome | None:
        """Return the outcome of a run whose worker died for lack of memory; None for other deaths.

        The kernel counts the processes it kills for lack of memory. A library that cannot allocate
        aborts the process and prints the reason at the end of the log.
        """
        folder = handle.folder
        counted = kills()
        if handle.death == "killed by signal 9":
            if counted <= self._kills:
                return None
            self._kills += 1
            reason = "killed by the kernel for lack of memory"
        elif speaks_of_memory(_end_of_log(folder)):
            reason = f"out of memory ({handle.death})"
        else:
            return None
        return Outcome("failed", folder.attempt, "out of memory", reason)

    @property
    def _one_slot(self) -> bool:
        return self.executor.slots == 1

    def _shortage(self, wanted: ExpectedPeak, running: Sequence[Handle]) -> str:
        """Return what a run beside others lacks, as text; empty when it fits."""
        place = self.executor.next_place()
        places = [(handle, handle.place()) for handle in running]
        bound = self._limit_mib if place.gpu is None else math.inf
        growing = sum(
            max(0.0, min(self._expected_peak(handle).memory_mib, bound) - where.held_mib)
            for handle, where in places
        )
        needed = max(0.0, min(wanted.memory_mib, bound) - place.held_mib)
        left = free_mib() - RESERVE_MIB - growing
        if needed > left:
            return _in_gib(needed, left)
        on_device = [handle for handle, where in places if where.gpu == place.gpu]
        if place.gpu is None or not on_device:
            return ""
        free = self._device_mib(place.gpu)
        if free is None:
            return ""
        needed = min(wanted.device_mib, self._limit_mib)
        growing = sum(
            max(
                0.0,
                min(self._expected_peak(handle).device_mib, self._limit_mib)
                - _reported_device(handle.folder),
            )
            for handle in on_device
        )
        left = free - growing
        return _in_gib(needed, left) if needed > left else ""

    def _expected_peak(self, handle: Handle) -> ExpectedPeak:
        running = self._running.get(handle.folder.path)
        return running.expected if running else ExpectedPeak(0.0, 0.0)

    def _device_mib(self, gpu: str) -> float | None:
        asked, free = self._devices.get(gpu, (-DEVICE_SECONDS, None))
        if time.monotonic() - asked >= DEVICE_SECONDS:
            free = free_device_mib(gpu)
            self._devices[gpu] = time.monotonic(), free
        return free


def with_memory(trial: Trial, folder: RunFolder, outcomes: Iterable[Outcome]) -> Trial:
    """Return an ended trial with its memory peaks among its costs.

    The peaks are the highest of its runs; `micro_batches` and `alone` are added only when the run
    in `folder` ran out of memory at first.
    """
    level = retry_level_of(folder)
    runs = list(outcomes)
    costs = {
        "memory_mib": max(run.memory_mib for run in runs),
        "device_mib": max(run.device_mib for run in runs),
    }
    if level is not None:
        costs |= {"micro_batches": float(level.accumulate), "alone": float(level.alone)}
    return replace(trial, costs={**trial.costs, **{k: v for k, v in costs.items() if v}})


def _reported_device(folder: RunFolder) -> float:
    """Return the GPU memory (MiB) that a run has reported; 0 before its first report."""
    reports = read_progress(folder.progress)
    return reports[-1].device_mib if reports and reports[-1].attempt == folder.attempt else 0.0


def _end_of_log(folder: RunFolder) -> str:
    try:
        with folder.log.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")
    except OSError:
        return ""


def _in_gib(needed_mib: float, left_mib: float) -> str:
    needed, left = needed_mib / 1024, max(0.0, left_mib) / 1024
    return f"needs about {needed:.1f} GiB, {left:.1f} GiB free"
