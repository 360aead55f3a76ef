"""Predict the memory of a run from earlier ones, and retry a run that ran out of memory."""

import math
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from tunewright.config.schema import ExecutorConfig as ExecutorConfig
from tunewright.executors.executor import Handle, Resources
from tunewright.executors.resources import WORKER_GIB
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome, Trial, speaks_of_memory
from tunewright.search.memory.oom_retry import (
    describe_retry,
    next_retry,
    retry_level_of,
    why_not_split,
)
from tunewright.search.memory.prediction import ExpectedPeak, Peaks

LOG_TAIL_BYTES = 1000
"""Bytes at the end of a log that are searched for a dead worker's out-of-memory message."""


class Memory:
    """Memory model of one session: learns from finished trials, and predicts the next ones.

    limits: `memory_gib` bounds what a trial can need. notice: called with messages for the user.
    slots: of the executor; with one, every run is alone.
    """

    def __init__(
        self, limits: ExecutorConfig, notice: Callable[[str], None], slots: int = 1
    ) -> None:
        limit, assumed = limits.memory_gib, WORKER_GIB * 1024
        limit_mib = math.inf if limit is None else limit * 1024
        self._peaks = Peaks(ExpectedPeak(min(assumed, limit_mib), assumed))
        self._notice = notice
        self.slots = slots

    def learn(
        self, folder: RunFolder, parameters: Mapping[str, Any], outcome: Outcome | None = None
    ) -> None:
        """Learn from the peak of a run; a failed run may have ended before its peak.

        outcome: the stored one by default. A paused run has a peak too.
        """
        outcome = outcome or folder.read_outcome()
        if outcome is None or outcome.state == "failed" or not outcome.memory_mib:
            return
        level = retry_level_of(folder)
        peak = ExpectedPeak(outcome.memory_mib, outcome.device_mib)
        self._peaks.learn(parameters, level.parts if level else 1.0, outcome.idle_mib, peak)

    def resources_for(self, folder: RunFolder, parameters: Mapping[str, Any]) -> Resources:
        """Return what a run with these parameters needs, after the retries that it had."""
        level = retry_level_of(folder)
        expected = self._peaks.predict(parameters, level.parts if level else 1.0)
        return Resources(
            memory_mib=expected.memory_mib,
            device_mib=expected.device_mib,
            alone=self.slots == 1 or (level is not None and level.alone),
        )

    def retry_after_oom(self, name: str, folder: RunFolder, outcome: Outcome) -> bool:
        """Return whether a run that ran out of memory is retried, and prepare it for that."""
        if outcome.state != "failed" or outcome.cause != "out of memory":
            return False
        before = retry_level_of(folder)
        alone = self.slots == 1 or (before is not None and before.alone)
        level = next_retry(folder, outcome, alone=alone)
        batch_size = int(folder.read_config()["training"]["batch_size"])
        said = [] if level is None else [describe_retry(level, before, batch_size)]
        if level is None or level.accumulate == (before.accumulate if before else level.asked):
            said += why_not_split(folder)
        if said:
            self._notice(f"{name} ran out of memory ({outcome.reason}); {'; '.join(said)}")
        return level is not None

    def oom_outcome(self, handle: Handle) -> Outcome | None:
        """Return the outcome of a run whose worker died for lack of memory; None for other deaths.

        The executor knows when the system says so. A library that cannot allocate aborts the
        process and prints the reason at the end of the log.
        """
        folder, death = handle.folder, handle.death
        if death is None:
            return None
        if death.out_of_memory:
            reason = str(death)
        elif death.signal != signal.SIGKILL and speaks_of_memory(_end_of_log(folder)):
            reason = f"out of memory ({death})"
        else:
            return None
        return Outcome("failed", folder.attempt, "out of memory", reason)


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


def _end_of_log(folder: RunFolder) -> str:
    try:
        with folder.log.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")
    except OSError:
        return ""
