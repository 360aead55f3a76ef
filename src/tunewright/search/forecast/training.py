"""Forecast the time, memory and disk of one training in full."""

import math
from dataclasses import dataclass, replace

from tunewright.config.apply import with_values
from tunewright.config.compose import Composition
from tunewright.config.schema import TrainingConfig, kept_of
from tunewright.executors.resources import share, threads_each
from tunewright.recipes.fidelity import check_before_training
from tunewright.recipes.recipe import Recipe
from tunewright.result import Result
from tunewright.search.callbacks import StudyCallback
from tunewright.search.measure_cost import measure
from tunewright.search.prepare import run_part
from tunewright.search.storage.trusted_servers import refuse_stored_servers

REPORT_BYTES = 300
"""Bytes that an epoch adds to the run folder besides checkpoints."""


@dataclass(frozen=True)
class RunPlan(Result):
    """The forecast of one training. Seconds are wall time; mebibytes are for one worker.

    seeds: how many trainings it is; slots: of them at once. patience: epochs without a better score
    that end it earlier. seconds, disk_bytes: of all seeds together, if no training ends early.
    """

    recipe: str
    epochs: int
    patience: int | None
    seeds: int
    slots: int
    threads: int
    step_seconds: float
    startup_seconds: float
    worker_seconds: float
    seconds: float
    disk_bytes: int
    memory_mib: float
    notices: tuple[str, ...] = ()


def plan_training(
    recipe: Recipe, composed: Composition, watch: StudyCallback | None = None
) -> RunPlan:
    """Train the configuration for two epochs in a temporary folder, and forecast the whole.

    Nothing is stored. Raises RunError when it does not train.
    """
    watch = watch or StudyCallback()
    refuse_stored_servers(composed)
    config = composed.config
    notices = (*composed.notices, *check_before_training(recipe, config))
    seeds = config.seeds or (config.seed,)
    machine = share(config.executor, config.study.jobs)
    slots = min(machine.slots, len(seeds))
    machine = replace(machine, slots=slots, threads=threads_each(config.executor, slots))
    copies = f", {slots} at once" if slots > 1 else ""
    watch.notice(f"measuring: training for two epochs{copies}")
    one = {"seed": seeds[0], "seeds": []}
    tree = run_part(with_values(composed.tree, one, recipe.config)[0])
    took = measure(recipe, tree, config, machine, evaluates=False)
    epochs, rounds = config.training.epochs, math.ceil(len(seeds) / slots)
    whole = took.startup_seconds + epochs * took.step_seconds
    checkpoints = (
        took.checkpoint_bytes
        * _count_checkpoints(config.training, epochs)
        / _count_checkpoints(config.training, 2)
    )
    return RunPlan(
        recipe=recipe.name,
        epochs=epochs,
        patience=config.training.patience,
        seeds=len(seeds),
        slots=slots,
        threads=machine.threads,
        step_seconds=took.step_seconds,
        startup_seconds=took.startup_seconds,
        worker_seconds=took.worker_seconds,
        seconds=took.worker_seconds + rounds * whole,
        disk_bytes=len(seeds) * round(took.run_bytes + checkpoints + epochs * REPORT_BYTES),
        memory_mib=took.memory_mib,
        notices=notices,
    )


def _count_checkpoints(training: TrainingConfig, epochs: int) -> int:
    """Return how many checkpoints lie in the folder after `epochs` epochs, at the most."""
    best, last = kept_of(training.keep_best), max(1, kept_of(training.keep_last))
    return min(best, epochs) + min(last, epochs)
