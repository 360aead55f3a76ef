"""Make the executor that a configuration asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tunewright.config.components import plugins
from tunewright.config.schema import ExecutorConfig, RunConfig
from tunewright.errors import ConfigError
from tunewright.executors.batch.batch_executor import BatchExecutor
from tunewright.executors.batch.crew import Crew
from tunewright.executors.batch.job_system import JobSystem
from tunewright.executors.batch.local_jobs import LocalJobSystem
from tunewright.executors.batch.slurm import Slurm
from tunewright.executors.batch.worker_folder import WorkerPlan
from tunewright.executors.executor import Executor
from tunewright.executors.inline import InlineExecutor
from tunewright.executors.local import LocalExecutor
from tunewright.executors.ray_cluster.open_cluster import open_cluster
from tunewright.executors.resources import Share
from tunewright.recipes.recipe import Recipe, Run
from tunewright.registry import Registry


@dataclass(frozen=True)
class ExecutorRequest:
    """What the program asks of an executor.

    config: the section `executor`. machine: the slots, and what each may use. on_report: called at
    each report of a run in this process. run_override: see `job.run`. folder: of the study, or of
    the run, in which an executor may keep files of its own.
    """

    config: ExecutorConfig
    machine: Share
    on_report: Callable[[], None]
    run_override: Run | None = None
    folder: Path | None = None


EXECUTORS: Registry[Callable[..., Executor]] = Registry("executor", plugins.EXECUTORS)
"""Executors by name. A component takes an `ExecutorRequest` from the program."""


def make_executor(
    recipe: Recipe,
    config: RunConfig,
    machine: Share,
    on_report: Callable[[], None],
    folder: Path,
) -> Executor:
    """Make the executor of `config`.

    on_report: called at each report of a run in this process. folder: of the study, or of the run,
    in which an executor may keep files of its own.
    """
    run_override = None if isinstance(recipe.run, str) else recipe.run
    request = ExecutorRequest(config.executor, machine, on_report, run_override, folder)
    return EXECUTORS[config.executor.type](request, **config.executor.options)


@EXECUTORS
def inline(request: ExecutorRequest, /) -> Executor:
    """Run in this process."""
    return InlineExecutor(
        request.on_report, threads=request.machine.threads, run_override=request.run_override
    )


@EXECUTORS
def local(request: ExecutorRequest, /) -> Executor:
    """Run in worker processes on this machine."""
    return LocalExecutor(
        request.machine.slots,
        threads=request.machine.threads,
        gpus=request.machine.gpus,
        fresh=request.config.isolation == "trial",
        run_override=request.run_override,
        memory_gib=request.config.memory_gib,
        processes=request.config.processes,
        shares_by_memory=request.config.per_gpu == "auto",
    )


@EXECUTORS
def ray(request: ExecutorRequest, /) -> Executor:
    """Run in actors of a Ray cluster."""
    most = None if request.machine.follows else request.machine.slots
    return open_cluster(request.config, most=most, run_override=request.run_override)


ORPHAN_SECONDS = 900.0
"""How long a worker in a job waits for a sign of a coordinator: a lease ends long before."""


@EXECUTORS
def local_jobs(request: ExecutorRequest, /) -> Executor:
    """Run in jobs on this machine."""
    place = _place_of_workers(request)
    return _in_jobs(request, LocalJobSystem(request.config.slurm, place / "jobs"), place)


@EXECUTORS
def slurm(request: ExecutorRequest, /) -> Executor:
    """Run in jobs of SLURM."""
    place = _place_of_workers(request)
    executor = _in_jobs(request, Slurm(request.config.slurm, place / "jobs"), place)
    executor.recruit()  # now, so that what sbatch refuses is said before the first trial
    return executor


def _in_jobs(request: ExecutorRequest, jobs: JobSystem, place: Path) -> BatchExecutor:
    config = request.config
    plan = WorkerPlan(
        token="",
        walltime_seconds=config.slurm.walltime,
        notice_seconds=config.slurm.notice,
        idle_seconds=config.slurm.idle,
        orphan_seconds=ORPHAN_SECONDS,
        gpus=request.machine.gpus if jobs.share_host else (),  # else those that SLURM gives
        fresh=config.isolation == "trial",
        memory_gib=config.memory_gib,
    )
    machine = request.machine
    return BatchExecutor(machine.slots, Crew(jobs, plan, place), threads=machine.threads)


def _place_of_workers(request: ExecutorRequest) -> Path:
    """Return the folder of the workers; raise ConfigError for what they could not run."""
    kind = request.config.type
    if request.run_override is not None:
        raise ConfigError(
            f"executor.type={kind} with a Python function",
            expected="a recipe, which a worker in a job finds by its name",
            remedy="Use executor.type=local, or the recipe command with a script that calls it.",
        )
    assert request.folder is not None, "make_executor gives one"
    return (request.folder / "workers").resolve()
