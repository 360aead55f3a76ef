"""The last stage: train one configuration in full."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tunewright.config.schema import RunConfig
from tunewright.config.tree import Tree
from tunewright.errors import LeaseLost
from tunewright.executors.executor import let_go
from tunewright.executors.factory import make_executor
from tunewright.executors.inline import InlineExecutor
from tunewright.executors.resources import Share, threads_each
from tunewright.recipes.recipe import Recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import StudyRecord
from tunewright.search.callbacks import StudyCallback
from tunewright.search.forecast.budget import Budget
from tunewright.search.forecast.early_stopping import TrainingLength, usual_share
from tunewright.search.loop.training_loop import TrainingLoop
from tunewright.search.prepare import PreparedStudy, full_configuration, trial_values
from tunewright.search.signals import Interrupted, stop_flag
from tunewright.search.training_run import (
    TrainResult,
    free_folder,
    is_done,
    read_result,
    write_configs,
    write_seed_scores,
)


@dataclass(frozen=True)
class FullTraining:
    """One configuration that is trained in full, with one seed or several.

    folder: of its run; several seeds have folders below it. metric: the one that is its score.
    usual: the share of the epochs that trainings of this kind took, as far as known. guard: raises
    LeaseLost when another coordinator has taken over.
    """

    folder: RunFolder
    tree: Tree
    recipe: Recipe
    metric: str
    usual: float | None = None
    guard: Callable[[], None] = lambda: None


def train_winner(
    recipe: Recipe,
    prepared: PreparedStudy,
    record: StudyRecord,
    machine: Share,
    watch: StudyCallback,
    budget: Budget | None,
    until: float | None,
) -> TrainResult | None:
    """Train the winner's configuration in full; return None when the budget is too short."""
    winner, composed = record.winner, prepared.composed
    assert winner is not None
    values = trial_values(recipe, prepared, winner.parameters)
    tree = full_configuration(recipe, composed.tree, values)
    folder = prepared.folder.final
    aside = folder.path.with_name("final.aside")
    _bring_back(aside, folder.path)
    previous = free_folder(folder.path, tree)
    if budget is not None and not is_done(previous) and not budget.allows(watch):
        return None
    if previous != folder:  # `final` is always the best trial's; move the former one
        folder.path.rename(aside)
        if previous.path.exists():  # the best again, as it was before
            previous.path.rename(folder.path)
        aside.rename(previous.path)
        watch.notice(f"the final run of an earlier best trial is now in {previous.path}")
    watch.notice(f"final: training trial {winner.number} in full, in {folder.path}")
    usual = None
    if tree["training"].get("patience") == prepared.config.training.patience:
        steps = [max(trial.curve, default=0) for trial in record.own if trial.state == "done"]
        usual = usual_share(steps, prepared.config.training.epochs)
    training = FullTraining(folder, tree, recipe, prepared.settings.metric, usual)
    if prepared.lock is not None:
        training = replace(training, guard=prepared.lock.verify)
    return train_in_full(training, composed.config, machine, watch, until)


def _bring_back(aside: Path, final: Path) -> None:
    """Restore a folder that a kill between two renames left aside, under a free name if needed."""
    if aside.exists():
        later = (final.with_name(f"final-{count}") for count in itertools.count(2))
        aside.rename(next(place for place in itertools.chain([final], later) if not place.exists()))


def train_in_full(
    training: FullTraining,
    config: RunConfig,
    machine: Share,
    watch: StudyCallback,
    until: float | None = None,
) -> TrainResult:
    """Train one configuration, or resume it; return the result of one that has ended.

    config: says where it is trained. until: the clock time at which it pauses. Raises RunError with
    the reason when a run fails, Interrupted when it was paused.
    """
    folder, tree, recipe = training.folder, training.tree, training.recipe
    seeds = tree.get("seeds") or []
    slots = min(machine.slots, max(1, len(seeds)))
    threads = threads_each(config.executor, slots)
    one = replace(machine, slots=slots, threads=threads, follows=False)
    folders = write_configs(folder, tree, recipe.config)
    todo = [place for place in folders if not is_done(place)]
    settings = tree["training"]
    length = TrainingLength(
        settings["epochs"],
        settings.get("patience"),
        settings.get("min_delta") or 0.0,
        training.metric,
        recipe.goals(config)[0].direction,
        training.usual,
    )
    loop = TrainingLoop(todo, length, config.executor, watch, until)
    loop.guard = training.guard
    executor = make_executor(recipe, config, one, loop.poll, folder.path)
    try:
        with stop_flag(at_once=isinstance(executor, InlineExecutor)) as stop:
            ending = loop.run(executor, stop) if todo else "finished"
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped at once: the last checkpoint is the latest saved state",
            remedy="Run the same command again to resume.",
        ) from None
    except LeaseLost:
        let_go(executor)
        raise
    finally:
        executor.close()
    if ending != "finished" and not all(map(is_done, folders)):
        raise Interrupted(
            "stopped: the training will resume from its last checkpoint",
            remedy="Run the same command again to resume.",
        )
    trained = read_result(folders, training.metric)
    for place in folders:
        recipe.run_files(place)
    if seeds:
        write_seed_scores(folder, seeds, trained)
    return trained
