"""Whether a training can be divided among several processes; imports without torch."""

from tunewright.config.schema import RunConfig
from tunewright.errors import ConfigError
from tunewright.recipes.recipe import Recipe


def check_processes(recipe: Recipe, config: RunConfig) -> None:
    """Raise ConfigError for `executor.processes` above 1 where they cannot train together."""
    count, training = config.executor.processes, config.training
    if count == 1:
        return
    if not recipe.uses_trainer:
        raise ConfigError(
            f"executor.processes = {count} with the recipe {recipe.name}",
            expected="1, since what it runs starts its own processes",
            remedy=f"Set executor.processes=1, and begin the command with torchrun "
            f"--nproc_per_node={count}."
            if recipe.name == "command"
            else "Set executor.processes=1, and start processes in the function.",
        )
    if training.compile == "always":
        raise ConfigError(
            f"training.compile = always with executor.processes = {count}",
            expected="never or auto: steps that exchange with other processes are not compiled",
            remedy="Set training.compile=never, or executor.processes=1.",
        )
    if (rows := training.batch_size // training.accumulate) < count:
        raise ConfigError(
            f"training.batch_size = {training.batch_size} with training.accumulate = "
            f"{training.accumulate} and executor.processes = {count}",
            expected=f"at least one row of each micro-batch for a process, and these have {rows}",
            remedy="Raise training.batch_size, or lower training.accumulate or executor.processes.",
        )
