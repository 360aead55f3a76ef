"""The first stage: search at a cheap fidelity, from its checks to the files it writes."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunewright.analysis.avoided import comparison_line, summarise_avoid_rules
from tunewright.analysis.winner.last_values import compare_last_values, describe_last_values
from tunewright.analysis.winner.replication import Replication
from tunewright.config.compose import Composition
from tunewright.config.study_schema import CurvesConfig
from tunewright.config.tree import Tree
from tunewright.errors import LeaseLost
from tunewright.executors.executor import Executor, let_go
from tunewright.executors.factory import make_executor
from tunewright.executors.inline import InlineExecutor
from tunewright.executors.resources import Share
from tunewright.recipes.recipe import Recipe
from tunewright.runs.atomic import write_yaml
from tunewright.runs.record import StudyRecord
from tunewright.runs.shared_choice import begin_sharing, read_shared_choice
from tunewright.search.callbacks import StudyCallback
from tunewright.search.curves.rungs import rungs_of
from tunewright.search.forecast.after_search import final_stage_cost
from tunewright.search.forecast.budget import Budget
from tunewright.search.loop.lease import Lease
from tunewright.search.loop.run_loop import Ending
from tunewright.search.loop.study_loop import StudyLoop
from tunewright.search.loop.trial_runs import Search
from tunewright.search.prepare import (
    PreparedStudy,
    full_configuration,
    run_tree,
    stage,
    trial_values,
)
from tunewright.search.recovery.reopen_left import reopen_left
from tunewright.search.recovery.repair import adopt
from tunewright.search.recovery.retry_failed import reopen
from tunewright.search.replication.replicate import (
    AfterSearch,
    prepare_replicates,
    read_replication,
    replicate,
    with_winner,
)
from tunewright.search.replication.replicate_loop import ReplicateLoop
from tunewright.search.results import link_foreign_names, refuse_failure, write_results
from tunewright.search.signals import Interrupted, stop_flag
from tunewright.search.storage.urls import without_password
from tunewright.search.study.define_by_run import DefineByRunStudy
from tunewright.search.study.optuna_types import SOURCES
from tunewright.search.study.pruners import pruner
from tunewright.search.study.study import Study
from tunewright.spaces.advice import believed_optima
from tunewright.spaces.specification import specification
from tunewright.training.trackers.tracking import trackers_off

SUGGESTED = "What the trials of this study have suggested; ranges of one name are joined."
"""The first line of a space that nobody wrote."""


@dataclass(frozen=True)
class SearchResult:
    """What a search has found. ending: why it ended.

    replication: what replicates of the best trials say; None where there are none. exhausted:
    whether every point of the space has been tried, so that more trials change nothing.
    """

    record: StudyRecord
    ending: Ending
    replication: Replication | None
    exhausted: bool


def explore(
    recipe: Recipe,
    composed: Composition,
    prepared: PreparedStudy,
    machine: Share,
    watch: StudyCallback,
    budget: Budget | None,
) -> SearchResult:
    """Search until all trials are done or the time is up, replicate the best, write the files.

    Raises Interrupted when a stop was requested, and RunError when too many trials failed
    (`early_end`).
    """
    adopted = adopt(prepared.url, prepared.name, prepared.settings, prepared.folder)
    if adopted:
        watch.notice(
            f"trial {', '.join(map(str, adopted))} was missing from the storage, as after a "
            "crash of the machine, and is restored from its folder"
        )
    if (which := prepared.config.study.retry_failed) and prepared.known is not None:
        again = reopen(prepared.url, prepared.name, prepared.settings, prepared.folder, which)
        numbers = ", ".join(map(str, again))
        watch.notice(f"running failed trial {numbers} again" if again else "no trial has failed")
    _reopen_left(prepared, watch)
    kind = DefineByRunStudy if prepared.space.define_by_run else Study
    study = kind(
        prepared.url,
        prepared.name,
        prepared.settings,
        prepared.space,
        outage_seconds=prepared.config.study.outage_seconds,
        on_notice=watch.notice,
    )
    lease: Lease | None = None
    executor: Executor | None = None
    try:
        lease = Lease(study, prepared.lock)
        _write_study_files(prepared, composed, study.sources())
        if recipe.uses_trainer:
            begin_sharing(prepared.folder.path, _epochs(recipe, composed, prepared))
        search = _search(recipe, composed, prepared, machine, budget)
        loop = _loop(prepared, study, search, watch, lease)
        polled: list[Callable[[], None]] = [loop.poll]  # of the loop that is running
        executor = make_executor(
            recipe, prepared.config, machine, lambda: polled[0](), prepared.folder.path
        )
        watch.on_begin(prepared.folder)
        try:
            with stop_flag(at_once=isinstance(executor, InlineExecutor)) as stop:
                ending = loop.run(executor, stop)
        except KeyboardInterrupt:
            raise _interrupted_study(
                prepared.name, len(loop.unfinished_trials), search.total
            ) from None
        if (shared := read_shared_choice(prepared.folder.path)) and shared.values:
            ways = ", ".join(shared.values.values())
            watch.notice(f"all runs of this study train in {ways} ({shared.why})")
        if study.space.parameters and prepared.space.define_by_run:
            write_yaml(prepared.folder.space, specification(study.space), header=SUGGESTED)
        stored = read_replication(prepared.folder, composed.tree)
        record, found = with_winner(study.record(), stored)
        for row in summarise_avoid_rules(record):
            if text := comparison_line(row, record.goal):
                watch.notice(text)
        _write_results(recipe, prepared, record, found)
        link_foreign_names(prepared.folder, recipe.dialect.guide_file_names)
        runs = [prepared.folder.trial(trial.number) for trial in record.own]
        recipe.search_files(prepared.folder, record)
        for run in runs:
            recipe.run_files(run)
        for name, count in trackers_off(runs).items():
            place = shlex.quote(str(prepared.folder.path))
            watch.notice(
                f"the tracker {name} failed in {count} of {len(runs)} trials, see their log.txt; "
                f"to copy them: tunewright replay {place} --to {name}"
            )
        if (text := _failed_message(record)) and ending == "finished":
            watch.notice(text)
        if ending == "interrupted":
            raise _interrupted_study(prepared.name, len(loop.unfinished_trials), search.total)
        if ending == "finished" and loop.early_end.failure:
            refuse_failure(prepared.folder, record, loop.early_end.failure)
        after = AfterSearch(record, executor.slots, search.closing, loop.closing_seconds, budget)
        if (wanted := prepare_replicates(recipe, prepared, after, watch)) is not None:
            replicates = ReplicateLoop(*wanted, watch, lease)
            polled[0] = replicates.poll
            found = replicate(recipe, prepared, replicates, executor, watch)
            record, found = with_winner(record, found)
            _write_results(recipe, prepared, record, found)
        elif (
            found is None
            and isinstance(prepared.config.study.sampler, CurvesConfig)
            and (close := compare_last_values(record)) is not None
        ):
            watch.notice(describe_last_values(close, record))
        return SearchResult(record, ending, found, loop.space_is_exhausted)
    except LeaseLost:
        if executor is not None:
            let_go(executor)
        raise
    finally:
        if executor is not None:
            executor.close()
        if lease is not None:
            lease.release()
        study.close()


def _reopen_left(prepared: PreparedStudy, watch: StudyCallback) -> None:
    """Let trials wait again that the search had left at a rung, if it gets more trials."""
    study = prepared.config.study
    if prepared.known is None or not isinstance(study.sampler, CurvesConfig):
        return
    again = reopen_left(
        prepared.url, prepared.name, prepared.settings, prepared.folder, study.trials
    )
    if again:
        watch.notice(f"{len(again)} trials that were left at a rung wait again, and may go on")


def _loop(
    prepared: PreparedStudy, study: Study, search: Search, watch: StudyCallback, lease: Lease
) -> StudyLoop:
    """Return the loop of the sampler: that by learning curves has its own."""
    sampler = prepared.config.study.sampler
    if not isinstance(sampler, CurvesConfig):
        return StudyLoop(study, search, watch, lease)
    from tunewright.search.curves.curve_search import CurveSearch  # imports SciPy
    from tunewright.search.loop.curve_loop import CurveLoop

    curves = CurveSearch(
        study.space,
        rungs_of(sampler, search.last_step),
        adapts=sampler.first_rung is None,
        sign=prepared.settings.goals[0].sign,
        seed=prepared.settings.seed,
        startup=sampler.startup_trials,
        believed=believed_optima(study.space),
        file=search.folder.curve_model,
    )
    return CurveLoop(study, search, watch, lease, curves)


def _write_results(
    recipe: Recipe,
    prepared: PreparedStudy,
    record: StudyRecord,
    found: Replication | None,
) -> None:
    composed = prepared.composed
    write_results(
        prepared.folder,
        record,
        lambda trial: full_configuration(
            recipe, composed.tree, trial_values(recipe, prepared, trial.parameters)
        ),
        recipe.usage,
        found,
    )


def _search(
    recipe: Recipe,
    composed: Composition,
    prepared: PreparedStudy,
    machine: Share,
    budget: Budget | None,
) -> Search:
    """Return the parameters of the search from its configuration."""
    seed = prepared.config.seed
    return Search(
        folder=prepared.folder,
        goals=prepared.settings.goals,
        constraints=prepared.constraints,
        configure=lambda values: run_tree(recipe, prepared, values),
        seeds=range(seed, seed + prepared.config.study.seeds),
        last_step=prepared.config.training.epochs,
        total=prepared.config.study.trials,
        pruner=pruner(
            prepared.config.study.pruner,
            prepared.config.training.epochs,
            prepared.settings.direction,
        ),
        executor=prepared.config.executor,
        timeout=prepared.config.study.timeout,
        closing=final_stage_cost(recipe, composed, prepared, machine),
        budget=budget,
        patience=prepared.config.study.patience,
        max_failures=prepared.config.study.max_failures,
        target=prepared.config.study.target,
        audit_pruning=prepared.config.study.audit_pruning,
        paused_gib=prepared.config.study.paused_gib,
        keep_weights=prepared.config.study.keep_weights,
        keep_predictions_mib=prepared.config.study.keep_predictions_mib,
    )


def _epochs(recipe: Recipe, composed: Composition, prepared: PreparedStudy) -> int:
    """Return the epochs of all trials with all seeds, plus those of the final training."""
    config = prepared.config
    epochs = config.study.trials * config.study.seeds * config.training.epochs
    if config.study.trains_winner:
        final = stage(recipe, composed, "final")[1]
        epochs += max(1, len(final.seeds)) * final.training.epochs
    return epochs


def _write_study_files(
    prepared: PreparedStudy, composed: Composition, sources: Sequence[str]
) -> None:
    write_yaml(
        prepared.folder.space,
        prepared.settings.space,
        header="The checked space of this study.",
    )
    write_yaml(
        prepared.folder.settings,
        {
            "name": prepared.name,
            "storage": without_password(prepared.url) if composed.config.study.storage else None,
            "configuration": _without_secrets(composed.tree),
            "replaced": sorted({*prepared.reserved, *prepared.space.derived}),
            "settings": prepared.settings.as_stored(),
            "reserved": dict(prepared.reserved),
            SOURCES: list(sources),
        },
        header="The settings of this study, which `tunewright analyze` reads.",
    )


def _without_secrets(tree: Tree) -> Tree:
    """Return the configuration without passwords, for a file that others may read."""
    storage = tree["study"]["storage"]
    return {**tree, "study": {**tree["study"], "storage": storage and without_password(storage)}}


def _failed_message(record: StudyRecord) -> str:
    """Return how many trials failed and how to run them again; empty when none did."""
    count = sum(trial.state == "failed" for trial in record.own)
    if not count or record.best is None:  # without a best trial there is an error
        return ""
    return (
        f"{count} of {len(record.own)} trials failed: the same command with --retry-failed runs "
        "them again"
    )


def _interrupted_study(name: str, waiting: int, total: int) -> Interrupted:
    return Interrupted(
        f"stopped: every finished trial of {name!r} is stored; {waiting} running "
        "trial(s) will resume from their last checkpoints",
        remedy=f"Run the same command again to resume; the total stays {total} trials.",
    )
