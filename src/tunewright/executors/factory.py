"""The executor that a configuration asks for."""

from collections.abc import Callable

from tunewright.config.schema import RunConfig
from tunewright.executors.executor import Executor
from tunewright.executors.inline import InlineExecutor
from tunewright.executors.local import LocalExecutor
from tunewright.executors.resources import Share
from tunewright.recipes.recipe import Recipe


def make_executor(
    recipe: Recipe, config: RunConfig, machine: Share, heard: Callable[[], None]
) -> Executor:
    """Workers, or this very process. heard: called there at each report."""
    bound = None if isinstance(recipe.run, str) else recipe.run
    if config.executor.type == "inline":
        return InlineExecutor(heard, threads=machine.threads, bound=bound)
    return LocalExecutor(
        machine.slots,
        threads=machine.threads,
        gpus=machine.gpus,
        fresh=config.executor.isolation == "trial",
        bound=bound,
        memory_gib=config.executor.memory_gib,
    )
