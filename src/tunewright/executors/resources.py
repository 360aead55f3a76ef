"""How many runs this machine can do at once, and what each may use."""

import os
from dataclasses import dataclass

from tunewright.config.schema import ExecutorConfig as ExecutorConfig
from tunewright.errors import ConfigError
from tunewright.executors.gpus import visible_gpus
from tunewright.executors.ray_cluster.open_cluster import cluster_share
from tunewright.runs.machine.free_cores import cores
from tunewright.runs.machine.free_memory import free_mib
from tunewright.runs.quantities import duration

MOST_PER_GPU = 8
"""Trials that `executor.per_gpu=auto` lets share a GPU at most."""
WORKER_GIB = 1.5
"""Memory that a trial is assumed to need, until trials are measured or a limit is set."""
JOBS = 4
"""Workers on a cluster, unless the user says how many."""


@dataclass(frozen=True)
class Share:
    """What each of `slots` workers may use: CPU threads, and the GPUs assigned in turn.

    why: how the number of slots was chosen, as text for the user. follows: whether the executor has
    more slots when its cluster grows.
    """

    slots: int
    threads: int
    gpus: tuple[str, ...]
    why: str
    follows: bool = False


def share(config: ExecutorConfig, jobs: int | None) -> Share:
    """Divide the machine: by GPUs if there are any, else by cores, within the free memory.

    A slot is that of a trial: of `executor.processes` GPUs, or as many cores. jobs: the number of
    slots, if the user has set it. Raises ConfigError for several jobs, or a memory limit, with the
    inline executor, and for more processes than GPUs.
    """
    each = config.processes
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
    if config.type == "ray":
        place = cluster_share(config, jobs)
        return Share(place.slots, place.threads, (), place.why, follows=jobs is None)
    if config.type == "slurm":
        why = f"jobs of up to {duration(config.slurm.walltime)}"
        why += ", as asked" if jobs else "; --jobs changes their number"
        return Share(jobs or JOBS, threads_each(config), (), why)
    gpus = visible_gpus()
    if gpus and each > len(gpus):
        raise ConfigError(
            f"executor.processes = {each} with {len(gpus)} GPU(s) visible",
            expected="a GPU for each process of a trial",
            remedy=f"Set executor.processes={len(gpus)}, or hide the GPUs to train on the CPU: "
            "CUDA_VISIBLE_DEVICES= tunewright ...",
        )
    free_gib = free_mib() / 1024
    limit = None if gpus else config.memory_gib  # on a GPU, memory_gib limits the GPU's memory
    by_memory = max(1, int(free_gib / (limit or each * WORKER_GIB)))
    if jobs is not None:
        slots, why = jobs, "as asked"
    elif gpus:
        slots, why = _gpu_slots(config, len(gpus), by_memory)
    else:
        slots = min(max(1, cores() // each), by_memory)
        why = f"{cores()} cores, {free_gib:.0f} GiB free"
    if each > 1:
        why += f", {each} processes a trial"
    if not gpus and config.per_gpu != 1:
        why += f"; executor.per_gpu={config.per_gpu} has no effect without a GPU"
    return Share(slots, threads_each(config, slots), tuple(gpus), why)


def _gpu_slots(config: ExecutorConfig, gpus: int, by_memory: int) -> tuple[int, str]:
    """Return the slots on so many GPUs, and how they came about.

    With `auto`, fewer may be in use: as many as the GPU memory of a trial allows, once it is known.
    """
    why = f"{gpus} GPU(s)"
    if config.per_gpu == "auto":
        each = min(MOST_PER_GPU, max(1, cores() // gpus))
        why += f", up to {each} trials on each by their GPU memory"
    else:
        each = config.per_gpu
        why += f", {each} trials on each" if each > 1 else ""
    return min(gpus // config.processes * each, by_memory), why


def threads_each(config: ExecutorConfig, slots: int = 1) -> int:
    """Return the CPU threads for each of `slots` processes.

    `executor.threads` comes first, on a Ray cluster the cores of a worker, then OMP_NUM_THREADS or
    MKL_NUM_THREADS, then an equal share of the cores. A job of SLURM has the cores that it asks
    for, else one.
    """
    if config.type == "ray" and config.ray.num_cpus is not None:
        return config.threads or max(1, int(config.ray.num_cpus))
    if config.type == "slurm":
        return config.threads or config.slurm.cpus_per_task or 1
    return config.threads or _environments_threads() or max(1, cores() // slots)


def _environments_threads() -> int | None:
    """Return OMP_NUM_THREADS, else MKL_NUM_THREADS; of a list ("4,2") the first."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        first = os.environ.get(name, "").partition(",")[0].strip()
        if first.isdecimal() and int(first) > 0:
            return int(first)
    return None
