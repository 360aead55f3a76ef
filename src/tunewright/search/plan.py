"""`tunewright plan`: forecast trials, time and disk before anything long begins."""

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunewright.config.compose import Composition
from tunewright.config.study_schema import CurvesConfig
from tunewright.errors import SpaceError, UsageError
from tunewright.executors.resources import Share, share
from tunewright.recipes.recipe import Recipe
from tunewright.result import Result
from tunewright.runs.record import StudyRecord
from tunewright.search.callbacks import StudyCallback
from tunewright.search.curves.rungs import assumed_pauses, rungs_of
from tunewright.search.forecast.after_search import final_stage_cost
from tunewright.search.forecast.disk import REPORT_BYTES, study_bytes
from tunewright.search.forecast.time_left import (
    Pace,
    assumed_stops,
    each_seed,
    pace_of,
    seconds_left,
)
from tunewright.search.forecast.timings import Timings
from tunewright.search.measure_cost import MeasuredCost, measure
from tunewright.search.prepare import PreparedStudy, prepare, run_tree
from tunewright.search.refine.trial_split import describe_stages
from tunewright.search.storage.database import silence_optuna
from tunewright.search.study.pruners import pruner
from tunewright.search.study.samplers import COUNTED, points_left
from tunewright.search.study.study import load_record
from tunewright.search.transfer.change_space import candidate
from tunewright.search.transfer.stored_trials import stored_study
from tunewright.search.transfer.trial_matching import match_trials
from tunewright.search.transfer.warm_start import start_from, trials_to_import
from tunewright.spaces.points import grid, identity, is_finite, list_values
from tunewright.spaces.read import SpaceFile
from tunewright.spaces.sample import draw
from tunewright.spaces.space import Space


@dataclass(frozen=True)
class StudyPlan(Result):
    """The forecast of a study. Seconds are wall time; mebibytes are for one worker.

    trials: in all; begun: those of earlier sessions. grid: the sizes of a grid's dimensions.
    points: how many the space allows, counted up to `COUNTED` for samplers other than grid; None
    where they cannot be counted. carried: trials of other studies. trained_share: the share of its
    epochs that a trial is expected to train before it is pruned. unpruned_seconds: of the search if
    nothing is pruned. replicates: of the best configurations, at the most. fitting: trials that the
    budget has time for; final_fits: whether it has time for the final training after one trial.
    stops_early: whether patience may shorten that training at an epoch that nothing tells;
    likely_epochs: those that it will train, by finished trials.
    """

    study: str
    trials: int
    begun: int
    grid: tuple[int, ...]
    points: int | None
    epochs: int
    slots: int
    threads: int
    pruner: str
    step_seconds: float
    startup_seconds: float
    worker_seconds: float
    trained_share: float
    search_seconds: float
    unpruned_seconds: float
    final_epochs: int
    final_seconds: float
    evaluation_seconds: float
    seconds: float
    disk_bytes: int
    memory_mib: float
    budget_seconds: float | None = None
    fitting: int | None = None
    final_fits: bool = True
    carried: int = 0
    stops_early: bool = False
    replicates: int = 0
    replicate_seconds: float = 0.0
    likely_epochs: int = 0
    notices: tuple[str, ...] = ()


def plan(
    recipe: Recipe,
    composed: Composition,
    *,
    given: SpaceFile | None = None,
    runs: Path = Path("runs"),
    watch: StudyCallback | None = None,
    from_: Sequence[str] = (),
    imports: Sequence[str] = (),
) -> StudyPlan:
    """Check the study, train its first configuration for two epochs, and forecast the rest.

    Nothing is stored: a later `tune`, with the same arguments or others, starts as if `plan` had
    not been called. Raises the errors that `tune` would raise before its first trial, and RunError
    when the first configuration does not train.
    """
    silence_optuna()
    watch = watch or StudyCallback()
    if recipe.define_by_run:
        raise UsageError(
            "a plan of an objective that suggests its own parameters",
            expected="parameters that are known before the first trial",
            remedy="Begin with a few trials: the same call of tunewright.tune with trials=5; it "
            "says how long the rest takes.",
        )
    prepared = prepare(recipe, composed, given=given, runs=runs)
    prepared, sources = start_from(recipe, prepared, from_, imports, runs)
    carried_over, lines = trials_to_import(recipe, prepared, sources)
    machine = share(prepared.config.executor, prepared.config.study.jobs)
    record = _record(recipe, prepared)
    tried = [trial.parameters for trial in record.trials] if record is not None else []
    tried += [values for _, _, values in carried_over]
    begun = len(record.own) if record is not None else 0
    space, wanted = prepared.space, prepared.config.study.trials
    known = {identity(space, values) for values in tried}
    left = points_left(prepared.settings, space, known, most=wanted - begun)
    total = min(wanted, begun + left)
    machine = replace(machine, slots=max(1, min(machine.slots, total)), follows=False)
    copies = f", {machine.slots} at once" if machine.slots > 1 else ""
    watch.notice(f"measuring: training the first configuration for two epochs{copies}")
    first = run_tree(recipe, prepared, _first(prepared.space))
    evaluates = prepared.config.study.trains_winner
    took = measure(recipe, first, prepared.config, machine, evaluates=evaluates)
    made = _make_plan(recipe, prepared.composed, prepared, machine, took, record, total)
    sizes, points = _points(prepared)
    return replace(
        made,
        grid=sizes,
        points=points,
        carried=len(tried) - begun,
        notices=(*prepared.notices, *lines, *describe_stages(prepared.config.study, prepared.name)),
    )


def _make_plan(
    recipe: Recipe,
    composed: Composition,
    prepared: PreparedStudy,
    machine: Share,
    took: MeasuredCost,
    record: StudyRecord | None,
    total: int,
) -> StudyPlan:
    study, epochs = prepared.config.study, prepared.config.training.epochs
    if by_curves := isinstance(study.sampler, CurvesConfig):
        stops = assumed_pauses(rungs_of(study.sampler, epochs))
    else:
        stops = assumed_stops(pruner(study.pruner, epochs, prepared.settings.direction), epochs)
    after = final_stage_cost(recipe, composed, prepared, machine)
    after = replace(after, evaluation=took.evaluation_seconds or 0.0)
    seeds = prepared.settings.seeds
    timings = Timings(epochs, total, stops, after, slots=machine.slots, seeds=seeds)
    if record is not None:
        timings.load(record, prepared.folder)
    work = timings.work()
    known = pace_of(work)
    pace = Pace(
        epochs,
        known.seconds_a_step if known and known.seconds_a_step else took.step_seconds,
        took.startup_seconds,
        known.survival if known else {step: 1.0 - share for step, share in stops.items()},
    )
    unpruned = each_seed(replace(pace, survival={}), prepared.settings.seeds)
    every = each_seed(pace, prepared.settings.seeds)
    warm = took.worker_seconds if work.new or work.waiting else 0.0
    search = warm + (seconds_left(work, every) or 0.0)
    share = timings.closing_share
    final = after.training_seconds(pace, share=share or 1.0)
    replicates = timings.replicates(pace)
    replicating = timings.replicate_seconds(pace)
    begun = len(record.own) if record is not None else 0
    made = StudyPlan(
        study=prepared.name,
        trials=total,
        begun=begun,
        grid=(),
        points=None,
        epochs=epochs,
        slots=machine.slots,
        threads=machine.threads,
        pruner="curves" if by_curves else study.pruner.type,
        step_seconds=pace.seconds_a_step,
        startup_seconds=took.startup_seconds,
        worker_seconds=took.worker_seconds,
        trained_share=pace.share_of_steps,
        search_seconds=search,
        unpruned_seconds=warm + (seconds_left(work, unpruned) or 0.0),
        final_epochs=after.steps,
        final_seconds=final,
        evaluation_seconds=after.evaluation,
        seconds=search + replicating + final + after.evaluation,
        disk_bytes=study_bytes(
            took.run_bytes * prepared.settings.seeds,
            took.checkpoint_bytes,
            trials=total,
            replicates=replicates,
            reports=took.reports,
            slots=machine.slots,
            final=after.steps > 0,
            pages=took.evaluation_bytes + study.report * REPORT_BYTES,
        ),
        memory_mib=took.memory_mib,
        stops_early=share is None,
        likely_epochs=round((share or 1.0) * after.steps),
        replicates=replicates,
        replicate_seconds=replicating,
    )
    return within(made, every, study.budget, study.replicate) if study.budget is not None else made


def within(made: StudyPlan, pace: Pace, budget: float, replicate: float = 0.0) -> StudyPlan:
    """Return the plan with the trials that fit into a budget. replicate: `study.replicate`."""
    each = pace.startup + pace.seconds_a_step * pace.steps_from(0)
    whole = pace.startup + pace.seconds_a_step * pace.last_step
    closing_seconds = made.final_seconds + made.evaluation_seconds
    final_fits = made.worker_seconds + whole + closing_seconds <= budget
    room = budget - made.worker_seconds - (closing_seconds if final_fits else 0.0)
    if whole + made.replicate_seconds <= room:
        room -= min(made.replicate_seconds, replicate * budget)
    left = made.trials - made.begun
    fitting = left if each <= 0.0 else min(left, math.floor(max(0.0, room) / each * made.slots))
    seconds = min(made.seconds, budget)
    return replace(
        made, budget_seconds=budget, fitting=fitting, final_fits=final_fits, seconds=seconds
    )


def _points(prepared: PreparedStudy) -> tuple[tuple[int, ...], int | None]:
    """Return the sizes of a grid's dimensions, and the number of allowed points if it is finite."""
    space = prepared.space
    if not is_finite(space):
        return (), None
    count = sum(1 for _ in itertools.islice(grid(space), COUNTED + 1))
    if prepared.settings.sampler["type"] != "grid":
        return (), count if count <= COUNTED else None
    return tuple(len(list_values(p.path, p.domain)) for p in space.parameters), count


def _first(space: Space) -> Mapping[str, Any]:
    """Return the first point of a study."""
    values = space.default() or draw(space, random.Random(0))
    if values is None:
        raise SpaceError("the forbid rules leave no combination that random draws could find")
    return values


def _record(recipe: Recipe, prepared: PreparedStudy) -> StudyRecord | None:
    """Return the stored record of a study; after a change of space, only the trials that fit."""
    known = prepared.known
    if known is None:
        return None
    record = load_record(prepared.url, prepared.name)[0]
    if not prepared.changed:
        return record
    old_trials = stored_study(prepared.url, prepared.name).trials
    candidates = [candidate(old, known, prepared.folder) for old in old_trials]
    matches = match_trials(recipe, prepared, candidates)
    fitting = []
    for trial in record.trials:
        match = matches.get(trial.number)
        if isinstance(match, dict):
            fitting.append(replace(trial, parameters=match))
    return replace(record, trials=tuple(fitting))
