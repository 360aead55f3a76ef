"""Make the executor that a configuration asks for."""

from collections.abc import Callable
from dataclasses import dataclass

from tunewright.config.components import plugins
from tunewright.config.schema import ExecutorConfig, RunConfig
from tunewright.executors.executor import Executor
from tunewright.executors.inline import InlineExecutor
from tunewright.executors.local import LocalExecutor
from tunewright.executors.resources import Share
from tunewright.recipes.recipe import Recipe, Run
from tunewright.registry import Registry


@dataclass(frozen=True)
class ExecutorRequest:
    """What the program asks of an executor.

    config: the section `executor`. machine: the slots, and what each may use. on_report: called at
    each report of a run in this process. run_override: see `job.run`.
    """

    config: ExecutorConfig
    machine: Share
    on_report: Callable[[], None]
    run_override: Run | None = None


EXECUTORS: Registry[Callable[..., Executor]] = Registry("executor", plugins.EXECUTORS)
"""Executors by name. A component takes an `ExecutorRequest` from the program."""


def make_executor(
    recipe: Recipe, config: RunConfig, machine: Share, on_report: Callable[[], None]
) -> Executor:
    """Make the executor of `config`.

    on_report: called at each report of a run in this process.
    """
    run_override = None if isinstance(recipe.run, str) else recipe.run
    request = ExecutorRequest(config.executor, machine, on_report, run_override)
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
