"""Replicate the best configurations of a search, from picking them to the winner."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from tunewright.analysis.winner.choose import choose
from tunewright.analysis.winner.race import LEAST, affordable_replicates
from tunewright.analysis.winner.replication import Replication, read_stored, summarise
from tunewright.analysis.winner.wording import describe
from tunewright.config.apply import with_values
from tunewright.config.tree import get
from tunewright.executors.executor import Executor
from tunewright.executors.inline import InlineExecutor
from tunewright.recipes.recipe import Recipe
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.callbacks import StudyCallback
from tunewright.search.forecast.budget import Budget
from tunewright.search.forecast.replicates import count_trainings_after
from tunewright.search.forecast.time_left import FinalStageCost
from tunewright.search.loop.run_loop import Ending
from tunewright.search.prepare import PreparedStudy, run_tree
from tunewright.search.replication.arms import (
    RaceField,
    count_trainings,
    pick_arms,
    replicate_seeds,
)
from tunewright.search.replication.replicate_loop import (
    ReplicateLoop,
    ReplicatePlan,
    drop_weights,
)
from tunewright.search.signals import Interrupted, stop_flag
from tunewright.spaces.points import identity


@dataclass(frozen=True)
class AfterSearch:
    """What is known when a search has ended.

    slots: of the executor. closing: the cost of the final stage, and its seconds. budget: of the
    whole call.
    """

    record: StudyRecord
    slots: int
    closing: FinalStageCost
    closing_seconds: float = 0.0
    budget: Budget | None = None


def prepare_replicates(
    recipe: Recipe, prepared: PreparedStudy, after: AfterSearch, watch: StudyCallback
) -> tuple[RaceField, ReplicatePlan] | None:
    """Pick what is replicated; say why nothing is, and return None, where that is so."""
    study, record = prepared.config.study, after.record
    finished = [trial for trial in record.of_state("done") if trial.score is not None]
    if not study.replicate or not finished:
        return None
    last_step = prepared.config.training.epochs
    trainings = prepared.earlier_trainings + count_trainings(record, last_step)
    trainings += count_trainings_after(after.closing, last_step)
    affordable = affordable_replicates(study.replicate, trainings)
    default = _default_trial(prepared, record)
    arms = pick_arms(record, default, affordable)
    until = None if after.budget is None else after.budget.replicate_until(study.replicate)
    seconds = [t.seconds / max(1, len(t.seeds)) for t in finished if t.seconds]
    why = ""
    if len(finished) < 2:
        why = "only one configuration finished, so there is none to compare"
    elif len(arms) < 2:
        needed = math.ceil(100 * LEAST / (LEAST + trainings)) / 100
        why = (
            f"study.replicate={study.replicate:g} pays for {affordable}, and a comparison takes "
            f"{LEAST}; study.replicate={needed:g} would do, or more trials"
        )
    elif until is not None and seconds:
        wanted = LEAST * fmean(seconds) / after.slots
        if until - time.monotonic() < wanted:
            why = "no time is left for it in the budget"
    if why:
        watch.notice(f"the best configurations are not replicated: {why}")
        return None
    goal, raced = prepared.settings.goals[0], {arm.trial for arm in arms}
    field = RaceField(
        prepared.folder,
        goal,
        prepared.constraints,
        {trial.number: trial for trial in record.trials if trial.number in raced},
        arms,
        replicate_seeds(prepared.config.seed, study.seeds),
        affordable,
        [goal.sign * trial.score for trial in finished if trial.score is not None],
    )
    named = ", ".join(f"{arm.trial}{' (the defaults)' if arm.is_default else ''}" for arm in arms)
    announced = [
        f"replicating the best configurations with new seeds, trial {named}: at most {affordable} "
        f"trainings, study.replicate={study.replicate:g} of all (0 switches it off)"
    ]
    if default is None and prepared.space.default() is not None:
        announced.append("the defaults are not replicated: they failed, or were not tried")
    if repeats := recipe.repeats(prepared.config):
        announced.append(f"the replicates may repeat one another: {repeats}")
    measured = prepared
    if study.prefer == "latency_ms":
        timed = with_values(prepared.explore, {"training.latency": True}, recipe.config)[0]
        measured = replace(prepared, explore=timed)
    plan = ReplicatePlan(
        lambda values: run_tree(recipe, measured, values),
        last_step,
        prepared.config.executor,
        until,
        seconds,
        after.closing_seconds,
        record.best,
        announced,
    )
    return field, plan


def replicate(
    recipe: Recipe,
    prepared: PreparedStudy,
    loop: ReplicateLoop,
    executor: Executor,
    watch: StudyCallback,
) -> Replication:
    """Run the replicates on the executor of the search, and store what they say.

    Raises Interrupted when a stop was requested.
    """
    ending: Ending = "interrupted"
    try:
        with stop_flag(at_once=isinstance(executor, InlineExecutor)) as stop:
            ending = loop.run(executor, stop)
    except KeyboardInterrupt:
        pass
    if ending == "timed out":
        watch.notice("the replicates end before their number: their share of the budget is used up")
    found = _conclude(recipe, prepared, loop, watch)
    if ending == "interrupted":
        raise Interrupted(
            f"stopped: the search of {prepared.name!r} is complete, and {loop.unfinished_count} "
            "running replicate(s) of its best configurations will resume from their "
            "last checkpoints",
            remedy="Run the same command again to resume; study.replicate=0 goes without them.",
        )
    watch.notice(describe(found)[0])
    return found


def _conclude(
    recipe: Recipe, prepared: PreparedStudy, loop: ReplicateLoop, watch: StudyCallback
) -> Replication:
    """Choose the winner, and store what the replicates say."""
    study, field = prepared.config.study, loop.field
    state = loop.state
    choice = choose(loop.arms, state, field.searched, study.prefer)
    priced = any(study.prefer in arm.costs for arm in loop.arms)
    if study.prefer is not None and not priced:
        watch.notice(
            f"study.prefer={study.prefer} decides nothing: no replicate measured {study.prefer}"
        )
    found = summarise(
        field.goal,
        loop.arms,
        state,
        choice,
        share=study.replicate,
        affordable=field.affordable,
        spent=sum(len(arm.scores) for arm in loop.arms),
        preferred=study.prefer or "" if choice is not None and priced and choice.tied else "",
        repeats=recipe.repeats(prepared.config),
    )
    write_json(prepared.folder.replication, found.as_json())
    if state.ended:  # the weights of the best trial are its own
        kept = found.winner if found.winner != found.best_seen else None
        drop_weights(prepared.folder, field, kept)
    return found


def read_replication(folder: StudyFolder, configuration: Mapping[str, Any]) -> Replication | None:
    """Return what is stored of a study's replicates; None where there are none.

    configuration: of the study; one that has switched replicates off has none.
    """
    if get(configuration, "study.replicate", None) == 0:
        return None
    stored = read_json(folder.replication)
    return None if stored is None else read_stored(stored)


def with_winner(
    record: StudyRecord, found: Replication | None
) -> tuple[StudyRecord, Replication | None]:
    """Return the record with the trial that replicates chose, and what they say.

    Replicates that do not know the best trial are of an earlier state of the study, and do not
    count.
    """
    if found is None or not found.is_current(record):
        return record, None
    return replace(record, replicated=found.winner), found


def _default_trial(prepared: PreparedStudy, record: StudyRecord) -> Trial | None:
    """Return the trial that tried the defaults and could be trained to its end."""
    space = prepared.space
    values = space.default()
    if values is None or space.define_by_run:
        return None
    wanted = identity(space, values)

    def is_default(parameters: Mapping[str, Any]) -> bool:
        return space.contains(parameters) and identity(space, parameters) == wanted

    able = record.of_state("done", "pruned")
    return next((trial for trial in able if is_default(trial.parameters)), None)
