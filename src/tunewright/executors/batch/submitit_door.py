"""The door to submitit, which writes the job script, submits it, and requeues a job.

Submitit pickles the function of a job, here always `worker.serve` and a path, into the folder of
jobs, which is the study's own; nothing else is pickled.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from tunewright.errors import ConfigError

MANY = 1_000_000
"""How often submitit may requeue a job: as often as its time is over."""


def refuse_without_submitit(kind: str) -> None:
    """Raise ConfigError unless submitit is installed."""
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise ConfigError(
            f"executor.type={kind} without submitit",
            expected="the package that submits jobs",
            remedy='Install it: pip install "tunewright[slurm]".',
        ) from None


def submit_to_slurm(
    function: Callable[[str], None], paths: Sequence[str], folder: Path, words: Mapping[str, Any]
) -> list[str]:
    """Submit a job for each path, as one array where there are several; return the job numbers.

    folder: for submitit's files and the output of the jobs. words: as
    `submitit.SlurmExecutor.update_parameters` takes them. Raises ConfigError with the message of
    sbatch, when it refuses.
    """
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        # The shell becomes the worker, so that what is sent to the one reaches the other.
        python = f"exec {shlex.quote(sys.executable)}"
        executor = submitit.SlurmExecutor(folder, max_num_timeout=MANY, python=python)
        executor.update_parameters(**words)
        with redirect_stderr(StringIO()), executor.batch():  # its message is in the error
            jobs = [executor.submit(function, path) for path in paths]
    except (FailedJobError, FailedSubmissionError, RuntimeError, ValueError) as error:
        raise _refused_by_sbatch(str(error)) from None
    except (OSError, subprocess.SubprocessError) as error:
        raise _refused_by_sbatch(f"{type(error).__name__}: {error}") from None
    return [job.job_id for job in jobs]


class LocalJobs:
    """Jobs on this machine, as processes that submitit starts and ends at their time limit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jobs: dict[str, Any] = {}

    def submit(
        self, function: Callable[[str], None], paths: Sequence[str], words: Mapping[str, Any]
    ) -> list[str]:
        """Start a job for each path; return the job numbers, which are process ids.

        They live on when this process is killed. Ctrl-C in its terminal is for this process alone.
        """
        import submitit

        executor = submitit.LocalExecutor(self._folder, max_num_timeout=MANY)
        executor.update_parameters(**words)
        with _left_to_the_coordinator():
            jobs = [executor.submit(function, path) for path in paths]
        self._jobs |= {job.job_id: job for job in jobs}
        return [job.job_id for job in jobs]

    @property
    def started(self) -> list[str]:
        """The jobs that this process has started."""
        return list(self._jobs)

    def forget(self) -> None:
        """Drop the jobs, which have ended."""
        self._jobs.clear()

    def runs(self, job: str) -> bool | None:
        """Return whether a job that this process started runs; None for any other."""
        known = self._jobs.get(job)
        return None if known is None else not known.done()


@contextmanager
def _left_to_the_coordinator() -> Iterator[None]:
    """Block the signals of a terminal, in this thread and in the processes that it starts."""
    ends = {signal.SIGINT, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def requeue_signal() -> signal.Signals:
    """Return the signal with which submitit announces the end of a job's time."""
    name = os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2")
    found: signal.Signals = getattr(signal, f"SIG{name}", signal.SIGUSR2)
    return found


def job_number() -> str:
    """Return the number of the job that this process is in."""
    import submitit

    return str(submitit.JobEnvironment().job_id)


def same_call(function: Callable[[str], None], path: str) -> object:
    """Return the call that a requeued job begins with, as submitit wants it."""
    from submitit.helpers import DelayedSubmission

    return DelayedSubmission(function, path)


def log_of(folder: Path, job: str) -> Path:
    """Return where a job's errors are printed."""
    return folder / f"{job}_0_log.err"


def _refused_by_sbatch(text: str) -> ConfigError:
    lines = [line.strip() for line in text.splitlines()]
    said = [line.partition("sbatch: error: ")[2] for line in lines if "sbatch: error: " in line]
    what = "; ".join(said) or " ".join(text.split())[-300:]
    return ConfigError(
        f"sbatch refused the job: {what}",
        expected="a job that this cluster takes",
        remedy="sinfo lists the partitions with their limits. Set executor.slurm.partition, "
        "account, qos, walltime or what else it names.",
    )
