"""Jobs on this machine: what a cluster does, without one, so that it can be tried and tested."""

import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tunewright.config.components.slurm import SlurmConfig
from tunewright.executors.batch.job_system import JobState
from tunewright.executors.batch.submitit_door import (
    LocalJobs,
    log_of,
    refuse_without_submitit,
)
from tunewright.executors.batch.worker import serve

EXIT_SECONDS = 5.0
"""How long a cancelled job may take to end before it is killed."""
TAIL_BYTES = 2000


class LocalJobSystem:
    """Submitit's local executor: each job is a process that is ended at its time limit.

    folder: for the logs of the jobs.
    """

    name = "local_jobs"
    look_seconds = 0.5
    late_seconds = 5.0
    share_host = True

    def __init__(self, config: SlurmConfig, folder: Path) -> None:
        refuse_without_submitit("local_jobs")
        self._config, self._folder, self._jobs = config, folder, LocalJobs(folder)

    def submit(self, workers: Sequence[Path]) -> list[str]:
        """Start a job for each worker's folder."""
        words: dict[str, Any] = {
            "timeout_min": self._config.walltime / 60,
            "signal_delay_s": round(self._config.notice),
        }
        if self._config.setup:
            words["setup"] = list(self._config.setup)
        return self._jobs.submit(serve, [str(path) for path in workers], words)

    def states(self, jobs: Sequence[str]) -> Mapping[str, JobState]:
        """Return the states of jobs; those of an earlier coordinator are looked up by process."""
        return {
            job: JobState("running")
            if self._is_running(job)
            else JobState("ended", f"its job {job} on {socket.gethostname()} ended before it")
            for job in jobs
        }

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs: by SIGTERM, which their workers get too, then by force."""
        left = [job for job in jobs if self._is_running(job)]
        for job in left:
            _send(job, signal.SIGTERM)
        until = time.monotonic() + EXIT_SECONDS
        while (left := [job for job in left if self._is_running(job)]) and time.monotonic() < until:
            time.sleep(0.02)
        for job in left:
            for process in [*_below(job), int(job)]:
                _send(str(process), signal.SIGKILL)
        while any(self._is_running(job) for job in left):
            time.sleep(0.02)

    def close(self) -> None:
        """End what is left of the jobs that this process started."""
        self.cancel(self._jobs.started)
        self._jobs.forget()

    def end_of_log(self, job: str) -> str:
        """Return the end of what a job printed as an error."""
        try:
            return log_of(self._folder, job).read_text(errors="replace")[-TAIL_BYTES:].strip()
        except OSError:
            return ""

    def _is_running(self, job: str) -> bool:
        known = self._jobs.runs(job)
        return _is_job(job) if known is None else known


def _is_job(job: str) -> bool:
    """Return whether a process id is one of submitit's jobs: numbers are given again."""
    try:
        process = psutil.Process(int(job))
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return any("submitit" in word for word in process.cmdline())
    except (psutil.Error, ValueError):
        return False


def _below(job: str) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(int(job)).children(recursive=True)]
    except psutil.Error:
        return []


def _send(process: str, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(int(process), number)
