"""Make the executor that a configuration asks for."""

from collections.abc import Callable

from tunewright.config.schema import RunConfig
from tunewright.executors.executor import Executor
from tunewright.executors.inline import InlineExecutor
from tunewright.executors.local import LocalExecutor
from tunewright.executors.resources import Share
from tunewright.recipes.recipe import Recipe


def make_executor(
    recipe: Recipe, config: RunConfig, machine: Share, on_report: Callable[[], None]
) -> Executor:
    """Make the executor of `config`: local workers, or this process.

    on_report: called at each report of a run in this process.
    """
    run_override = None if isinstance(recipe.run, str) else recipe.run
    if config.executor.type == "inline":
        return InlineExecutor(on_report, threads=machine.threads, run_override=run_override)
    return LocalExecutor(
        machine.slots,
        threads=machine.threads,
        gpus=machine.gpus,
        fresh=config.executor.isolation == "trial",
        run_override=run_override,
        memory_gib=config.executor.memory_gib,
    )
