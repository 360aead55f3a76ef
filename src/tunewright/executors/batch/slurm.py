"""SLURM: jobs through submitit, their states from squeue, and from sacct once it forgets them."""

import math
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.config.components.slurm import SlurmConfig
from tunewright.errors import ConfigError
from tunewright.executors.batch.job_system import JobState
from tunewright.executors.batch.submitit_door import (
    log_of,
    refuse_without_submitit,
    requeue_signal,
    submit_to_slurm,
)
from tunewright.executors.batch.worker import serve

ANSWER_SECONDS = 30.0
"""How long an answer of SLURM may take; none is no news."""
WAITING = {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
RUNNING = {
    "CONFIGURING",
    "COMPLETING",
    "RESIZING",
    "RUNNING",
    "SIGNALING",
    "STAGE_OUT",
    "STOPPED",
    "SUSPENDED",
}
REASONS = {
    "BOOT_FAIL": "the node of its job {job} did not boot",
    "CANCELLED": "its job {job} was cancelled",
    "COMPLETED": "",
    "DEADLINE": "its job {job} reached its deadline",
    "FAILED": "its job {job} failed",
    "NODE_FAIL": "the node of its job {job} failed",
    "OUT_OF_MEMORY": "its job {job} exceeded its memory",
    "PREEMPTED": "its job {job} was preempted",
    "REVOKED": "its job {job} was revoked",
    "TIMEOUT": "the time of its job {job} was over",
}
"""States in which a job has ended (https://slurm.schedmd.com/job_state_codes.html), in words."""
SQUEUE = ("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T")
SACCT = ("sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State")
TAIL_BYTES = 2000


class Slurm:
    """A SLURM cluster, asked on a machine that has its commands.

    folder: for the job scripts and logs. Raises ConfigError where there is no sbatch.
    """

    name = "slurm"
    look_seconds = 15.0
    late_seconds = 60.0
    share_host = False

    def __init__(self, config: SlurmConfig, folder: Path) -> None:
        refuse_without_submitit("slurm")
        for command in ("sbatch", "squeue", "scancel", "srun"):
            if shutil.which(command) is None:
                raise ConfigError(
                    f"executor.type=slurm, and this machine has no {command}",
                    expected="a machine from which jobs are submitted",
                    remedy="Run it on a login node of the cluster, or with "
                    "executor.type=local_jobs: the same jobs, on this machine.",
                )
        self._config, self._folder = config, folder

    def submit(self, workers: Sequence[Path]) -> list[str]:
        """Submit a job array with a job for each worker's folder."""
        paths = [str(path) for path in workers]
        return submit_to_slurm(serve, paths, self._folder, sbatch_words(self._config))

    def states(self, jobs: Sequence[str]) -> Mapping[str, JobState]:
        """Return the states of jobs from squeue, and from sacct for those that it forgot."""
        states = _ask_slurm(SQUEUE, jobs)
        if forgotten := [job for job in jobs if job not in states]:
            states |= _ask_slurm(SACCT, forgotten)
        return {job: state for job, state in states.items() if job in jobs}

    def cancel(self, jobs: Sequence[str]) -> None:
        """Cancel jobs; their workers get SIGTERM."""
        if jobs:
            _call(["scancel", "--quiet", *jobs])

    def close(self) -> None:
        """Leave the end of cancelled jobs to the cluster."""

    def end_of_log(self, job: str) -> str:
        """Return the end of what a job printed as an error."""
        try:
            return log_of(self._folder, job).read_text(errors="replace")[-TAIL_BYTES:].strip()
        except OSError:
            return ""


def sbatch_words(config: SlurmConfig) -> dict[str, Any]:
    """Return the parameters of a job, by submitit's names."""
    words: dict[str, Any] = {
        "job_name": "tunewright",
        "time": max(1, math.ceil(config.walltime / 60)),
        "signal_delay_s": round(config.notice),
        "use_srun": False,
        "partition": config.partition,
        "account": config.account,
        "qos": config.qos,
        "gpus_per_node": config.gpus,
        "gres": config.gres,
        "cpus_per_task": config.cpus_per_task,
        "mem": config.mem_gib and f"{round(1024 * config.mem_gib)}M",
        "constraint": config.constraint,
        "array_parallelism": config.array_parallelism,
        "setup": list(config.setup) or None,
    }
    # The notice is for the batch shell alone, which is the worker: a job step would pass it to all
    # its processes, and so end the training that it is to save.
    signal = f"B:{requeue_signal().name.removeprefix('SIG')}@{round(config.notice)}"
    # Requeued when its node fails: the worker then begins again by itself.
    own = {"requeue": True, "signal": signal}
    additional = {name.lstrip("-"): value for name, value in config.additional.items()}
    words["additional_parameters"] = own | additional
    return {name: value for name, value in words.items() if value is not None}


def _ask_slurm(command: Sequence[str], jobs: Sequence[str]) -> dict[str, JobState]:
    """Return the states of the jobs that a command of SLURM knows."""
    numbers = sorted({job.partition("_")[0] for job in jobs})
    states = {}
    for line in _call([*command, f"--jobs={','.join(numbers)}"]).splitlines():
        job, _, words = line.strip().partition("|")
        if (state := _state(job, words)) is not None:
            states[job] = state
    return states


def _call(command: Sequence[str]) -> str:
    """Return what a command prints; nothing when it fails, as for jobs that are forgotten."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _state(job: str, words: str) -> JobState | None:
    """Return a state from SLURM's word for it, such as `CANCELLED by 1000`; None for any other."""
    word = words.partition(" ")[0].rstrip("+")
    if word in WAITING:
        return JobState("waiting")
    if word in RUNNING:
        return JobState("running")
    if word not in REASONS:
        return None
    return JobState("ended", REASONS[word].format(job=job), word == "OUT_OF_MEMORY")
