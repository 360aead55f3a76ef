"""How many runs this machine takes at once, and what each may use."""

import os
import shutil
import subprocess
from dataclasses import dataclass

from tunewright.config.schema import ExecutorConfig as ExecutorConfig
from tunewright.errors import ConfigError
from tunewright.runs.machine.free_cores import cores
from tunewright.runs.machine.free_memory import free_mib

WORKER_GIB = 1.5
"""What a trial is assumed to need, until trials have been measured or a limit is given."""


@dataclass(frozen=True)
class Share:
    """What each of `slots` workers has: CPU threads, and the GPUs dealt out in turn."""

    slots: int
    threads: int
    gpus: tuple[str, ...]
    why: str


def share(config: ExecutorConfig, jobs: int | None) -> Share:
    """Divide the machine: by GPUs if there are any, else by cores, never beyond free memory."""
    if config.type == "inline":
        if jobs not in (None, 1):
            raise ConfigError(
                f"study.jobs = {jobs}",
                expected="1 with executor.type=inline, which has one process",
                remedy="Leave out --jobs, or use executor.type=local.",
            )
        if config.memory_gib is not None:
            raise ConfigError(
                f"executor.memory_gib = {config.memory_gib:g}",
                expected="null with executor.type=inline, whose process is yours",
                remedy="Use executor.type=local.",
            )
        return Share(1, threads_each(config), (), "inline: this process")
    gpus = visible_gpus()
    free_gib = free_mib() / 1024
    limit = None if gpus else config.memory_gib  # on a GPU the limit is one of its memory
    by_memory = max(1, int(free_gib / (limit or WORKER_GIB)))
    if jobs is not None:
        slots, why = jobs, "as asked"
    elif gpus:
        slots, why = min(len(gpus), by_memory), f"{len(gpus)} GPU(s)"
    else:
        slots, why = min(cores(), by_memory), f"{cores()} cores, {free_gib:.0f} GiB free"
    return Share(slots, threads_each(config, slots), tuple(gpus), why)


def threads_each(config: ExecutorConfig, slots: int = 1) -> int:
    """CPU threads for each of `slots` processes: as the user has set, else their share of cores.

    `executor.threads` comes before what the environment says.
    """
    return config.threads or _environments_threads() or max(1, cores() // slots)


def _environments_threads() -> int | None:
    """What OpenMP, or else MKL, was told in the environment; of a list by level the first."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        first = os.environ.get(name, "").partition(",")[0].strip()
        if first.isdecimal() and int(first) > 0:
            return int(first)
    return None


def visible_gpus() -> list[str]:
    """Ids of the CUDA devices that this process may use; asks the driver, never CUDA itself."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [gpu for gpu in chosen.split(",") if gpu and gpu != "-1"]
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return []
    return [line.strip() for line in listed.stdout.splitlines() if line.strip()]
