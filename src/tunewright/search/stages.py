"""The stages of a study: search at a cheap fidelity, then train the winner in full."""

import os
import shlex
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tunewright.config.compose import Composition
from tunewright.errors import TunewrightError
from tunewright.executors.resources import share
from tunewright.executors.thread_waits import describe_waits
from tunewright.recipes.fidelity import check_single_run
from tunewright.recipes.recipe import Recipe
from tunewright.result import Result, to_json
from tunewright.runs.folder import StudyFolder
from tunewright.runs.machine.temporary_folders import sweep
from tunewright.runs.record import StudyRecord
from tunewright.search.callbacks import StudyCallback
from tunewright.search.evaluate_run import Evaluation, evaluate_run
from tunewright.search.explore import explore
from tunewright.search.final import FullTraining, train_in_full, train_winner
from tunewright.search.forecast.budget import Budget, evaluate_within_budget, train_within_budget
from tunewright.search.loop.lease import FolderLock, refuse_if_alive
from tunewright.search.loop.run_loop import Ending
from tunewright.search.prepare import (
    PreparedStudy,
    prepare,
    refuse_leading_out,
)
from tunewright.search.reporting.keep_fresh import fresh_report
from tunewright.search.reporting.trial_ensemble import describe_ensemble, measure_trial_ensemble
from tunewright.search.stage_lengths import long_warmup_notices, plan_lines
from tunewright.search.storage.database import silence_optuna, stored_lease
from tunewright.search.storage.trusted_servers import refuse_stored_servers
from tunewright.search.training_run import TrainResult, free_folder
from tunewright.search.transfer.change_space import rebase
from tunewright.search.transfer.warm_start import import_trials, start_from
from tunewright.spaces.read import SpaceFile
from tunewright.training.trackers.tracker import require


@dataclass(frozen=True)
class TuneResult(Result):
    """The result of `tune`. final: None when it was not asked for, or nothing finished."""

    folder: StudyFolder
    record: StudyRecord
    ending: Ending
    final: TrainResult | None
    evaluation: Evaluation | None

    def as_json(self) -> dict[str, Any]:
        """Return the study, its best trial, and the scores of the final training."""
        record, best = self.record, self.record.best
        return {
            "study": record.name,
            "folder": str(self.folder.path),
            "recipe": record.recipe,
            "goal": record.goal,
            "direction": record.direction,
            "trials": len(record.own),
            "ending": self.ending,
            "best": to_json(best),
            "final": to_json(self.final),
            "evaluation": to_json(self.evaluation),
        }


def tune(
    recipe: Recipe,
    composed: Composition,
    *,
    given: SpaceFile | None = None,
    runs: Path = Path("runs"),
    watch: StudyCallback | None = None,
    from_: str | None = None,
    imports: Sequence[str] = (),
) -> TuneResult:
    """Search, resume if the study was begun before, then train and evaluate the winner.

    given: a space file, laid over the recipe's own. from_, imports: see `api.tune`. Raises a
    matching TunewrightError for everything that can be known before the first trial; after that
    only for lost storage (StorageLost), a failed final training (RunError) and Ctrl-C
    (Interrupted).
    """
    began = time.monotonic()
    silence_optuna()
    watch = watch or StudyCallback()
    prepared = prepare(recipe, composed, given=given, runs=runs)
    prepared, sources = start_from(recipe, prepared, from_, imports, runs)
    composed = prepared.composed
    for notice in prepared.notices:
        watch.notice(notice)
    sweep()
    lock = FolderLock(prepared.folder.path)
    try:
        refuse_if_alive(prepared.name, stored_lease(prepared.url, prepared.name))
        if prepared.changed:
            rebase(recipe, prepared, watch)
        elif sources:
            import_trials(recipe, prepared, sources, [*([from_] if from_ else []), *imports], watch)
        executor_share = share(prepared.config.executor, prepared.config.study.jobs)
        watch.notice(
            f"{executor_share.slots} worker(s) with {executor_share.threads} CPU thread(s) each "
            f"({executor_share.why}){describe_waits(executor_share.threads, os.environ)}"
        )
        with ExitStack() as during:
            if prepared.config.study.report:
                during.enter_context(fresh_report(prepared.folder, prepared.url, watch.notice))
            seconds = prepared.config.study.budget
            budget = None if seconds is None else Budget(seconds, began)
            record, ending = explore(recipe, composed, prepared, executor_share, watch, budget)
            _measure_ensemble(prepared, record, watch)
            trained, evaluation = None, None
            if prepared.config.study.final and record.best is not None:  # even after a timeout
                final = partial(train_winner, recipe, prepared, record, executor_share, watch)
                trained = train_within_budget(budget, watch, partial(final, budget))
                winner = prepared.folder.trial(record.best.number)
                if trained is not None:
                    winner = trained.best(prepared.settings.direction)
                measured = partial(evaluate_run, recipe, winner, composed.config, None)
                if trained is not None or winner.checkpoints.exists():
                    evaluation = evaluate_within_budget(budget, watch, measured)
                else:
                    watch.notice(
                        "the best trial ran in another study, and its weights are not here: "
                        "best_config.yaml is the result"
                    )
            return TuneResult(prepared.folder, record, ending, trained, evaluation)
    finally:
        lock.release()


def _measure_ensemble(prepared: PreparedStudy, record: StudyRecord, watch: StudyCallback) -> None:
    """Say what an ensemble of the trials gains; a failure costs this sentence alone."""
    if not prepared.config.study.keep_predictions_mib:
        return
    try:
        found = measure_trial_ensemble(prepared.folder, record, prepared.config.executor)
    except TunewrightError as error:
        watch.notice(f"no ensemble of the trials was measured: {error}")
        return
    if found is not None:
        place = shlex.quote(str(prepared.folder.path))
        watch.notice(f"{describe_ensemble(found)}; to make it: tunewright ensemble {place}")


def train(
    recipe: Recipe,
    composed: Composition,
    *,
    name: str | None = None,
    runs: Path = Path("runs"),
    watch: StudyCallback | None = None,
) -> TrainResult:
    """Train one configuration in full, with one seed or several; the same call resumes."""
    watch = watch or StudyCallback()
    require(composed.config.trackers.names)
    refuse_stored_servers(composed)
    too_long = long_warmup_notices(composed.config, composed.sources, "the training")
    for notice in [*composed.notices, *check_single_run(recipe, composed.config), *too_long]:
        watch.notice(notice)
    for line in plan_lines(recipe, composed.config):
        watch.notice(line)
    metric = recipe.goals(composed.config)[0].metric
    if name is not None:
        refuse_leading_out(name, runs)
    sweep()
    folder = free_folder(runs / (name or f"train-{recipe.name}"), composed.tree)
    lock = FolderLock(folder.path)
    try:
        return train_in_full(
            FullTraining(folder, composed.tree, recipe, metric),
            composed.config,
            share(composed.config.executor, composed.config.study.jobs),
            watch,
        )
    finally:
        lock.release()
