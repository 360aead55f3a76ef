"""The stages of a study: search at a cheap fidelity, then train the winner in full."""

import os
import shlex
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tunewright.analysis.winner.replication import Replication
from tunewright.config.compose import Composition
from tunewright.errors import TunewrightError
from tunewright.executors.resources import share
from tunewright.executors.thread_waits import describe_waits
from tunewright.recipes.fidelity import check_single_run
from tunewright.recipes.recipe import Recipe
from tunewright.reports.notebook import link, study_summary
from tunewright.reports.report_file import ReportFile
from tunewright.result import Result, to_json
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.machine.temporary_folders import sweep
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.callbacks import StudyCallback
from tunewright.search.coordinator.standing import standing_file
from tunewright.search.evaluate_run import Evaluation, evaluate_run
from tunewright.search.explore import explore
from tunewright.search.final import FullTraining, train_in_full, train_winner
from tunewright.search.forecast.budget import Budget, evaluate_within_budget, train_within_budget
from tunewright.search.loop.lease import FolderLock, refuse_if_alive
from tunewright.search.loop.run_loop import Ending
from tunewright.search.prepare import PreparedStudy, prepare, refuse_leading_out
from tunewright.search.read_study import read_study
from tunewright.search.reporting.keep_fresh import fresh_report
from tunewright.search.reporting.study_report import report_study
from tunewright.search.reporting.trial_ensemble import describe_ensemble, measure_trial_ensemble
from tunewright.search.results import winner_folder
from tunewright.search.stage_lengths import long_warmup_notices, plan_lines
from tunewright.search.storage.database import silence_optuna, stored_lease
from tunewright.search.storage.trusted_servers import refuse_stored_servers
from tunewright.search.training_run import TrainResult, free_folder
from tunewright.search.transfer.change_space import rebase
from tunewright.search.transfer.sources import TrialSource
from tunewright.search.transfer.warm_start import import_trials, start_from
from tunewright.spaces.read import SpaceFile
from tunewright.training.trackers.tracker import require


@dataclass(frozen=True)
class TuneResult(Result):
    """The result of `tune`.

    final: None when it was not asked for, or nothing finished. exhausted: whether every point of
    the space has been tried, so that more trials change nothing. stages: the searches of
    `study.stages`, the first one first; empty where there is only this one.
    replication: what replicates of the best trials say; None where there are none.

    A notebook shows its summary; `report` writes its report, which the notebook shows as well.
    """

    folder: StudyFolder
    record: StudyRecord
    ending: Ending
    final: TrainResult | None
    evaluation: Evaluation | None
    exhausted: bool = False
    stages: tuple["TuneResult", ...] = ()
    replication: Replication | None = None

    @property
    def winner(self) -> Trial | None:
        """The trial that replicates chose, else the one with the best score."""
        return self.record.winner

    @property
    def winner_run(self) -> RunFolder:
        """The run of the search that holds the winner's weights: a trial, or a replicate of it."""
        return winner_folder(self.folder, self.record, self.replication)

    def as_json(self) -> dict[str, Any]:
        """Return the study, its best trial, and the scores of the final training."""
        record = self.record
        return {
            "study": record.name,
            "folder": str(self.folder.path),
            "recipe": record.recipe,
            "goal": record.goal,
            "direction": record.direction,
            "trials": len(record.own),
            "ending": self.ending,
            "best": to_json(record.winner),
            **({} if self.replication is None else {"replication": to_json(self.replication)}),
            "final": to_json(self.final),
            "evaluation": to_json(self.evaluation),
            **({"stages": [_in_short(one) for one in self.stages]} if self.stages else {}),
        }

    def report(
        self,
        *,
        output: Path | None = None,
        figure: str | None = None,
        storage: str | None = None,
    ) -> ReportFile:
        """Write the report of the study, or one figure, as `tunewright.report` does.

        storage: the URL of its database, where the one in its folder lacks a password.
        """
        view = read_study(str(self.folder.path), storage=storage)
        return report_study(view, output=output, figure=figure)

    def _repr_html_(self) -> str:
        """Return the best trial, the final scores and a link to the report."""
        parts = [study_summary(self.record, self.replication)]
        if self.final is not None:
            parts.append(self.final._repr_html_())
        if self.evaluation is not None:
            parts.append(self.evaluation._repr_html_())
        if self.folder.report.exists():
            parts.append(link(self.folder.report, "the report"))
        return "".join(parts)


def _in_short(search: TuneResult) -> dict[str, Any]:
    record = search.record
    found = {"study": record.name, "folder": str(search.folder.path), "trials": len(record.own)}
    return {**found, "ending": search.ending, "best": to_json(record.best)}


def tune(
    recipe: Recipe,
    composed: Composition,
    *,
    given: SpaceFile | None = None,
    runs: Path = Path("runs"),
    watch: StudyCallback | None = None,
    from_: Sequence[str] = (),
    imports: Sequence[str] = (),
) -> TuneResult:
    """Search, resume if the study was begun before, then train and evaluate the winner.

    given: a space file, laid over the recipe's own. from_, imports: see `api.tune`. Raises a
    matching TunewrightError for everything that can be known before the first trial; after that
    only for lost storage (StorageLost), a failed final training (RunError) and Ctrl-C
    (Interrupted).
    """
    search = prepare_search(recipe, composed, given, runs, from_, imports)
    return run_search(recipe, search, watch or StudyCallback())


@dataclass(frozen=True)
class PreparedSearch:
    """A study with the sources that it starts from. began: by the clock, for its budget.

    asked: the sources as they were typed.
    """

    study: PreparedStudy
    sources: tuple[TrialSource, ...]
    asked: tuple[str, ...]
    began: float


def prepare_search(
    recipe: Recipe,
    composed: Composition,
    given: SpaceFile | None,
    runs: Path,
    from_: Sequence[str] = (),
    imports: Sequence[str] = (),
) -> PreparedSearch:
    """Check everything that can be known before the first trial; the arguments are those of `tune`.

    Raises a matching TunewrightError.
    """
    began = time.monotonic()
    silence_optuna()
    prepared = prepare(recipe, composed, given=given, runs=runs)
    prepared, sources = start_from(recipe, prepared, from_, imports, runs)
    return PreparedSearch(prepared, sources, (*from_, *imports), began)


def run_search(recipe: Recipe, search: PreparedSearch, watch: StudyCallback) -> TuneResult:
    """Search, then train and evaluate the winner as its configuration says."""
    prepared = search.study
    composed = prepared.composed
    for notice in prepared.notices:
        watch.notice(notice)
    sweep()
    lock = FolderLock(prepared.folder.path, watch.notice)
    prepared = replace(prepared, lock=lock)
    try:
        stored = partial(stored_lease, prepared.url, prepared.name)
        refuse_if_alive(prepared.name, stored, lock, watch.notice)
        if prepared.changed:
            rebase(recipe, prepared, watch)
        elif search.sources:
            import_trials(recipe, prepared, search.sources, search.asked, watch)
        executor_share = share(prepared.config.executor, prepared.config.study.jobs)
        watch.notice(
            f"{executor_share.slots} worker(s) with {executor_share.threads} CPU thread(s) each "
            f"({executor_share.why}){describe_waits(executor_share.threads, os.environ)}"
        )
        with ExitStack() as during:
            standing = during.enter_context(standing_file(prepared.folder, prepared.name, watch))
            watch = standing
            study = prepared.config.study
            if study.report:
                during.enter_context(fresh_report(prepared.folder, prepared.url, watch.notice))
            budget = None if study.budget is None else Budget(study.budget, search.began)
            found = explore(recipe, composed, prepared, executor_share, watch, budget)
            _measure_ensemble(prepared, found.record, watch)
            trained, evaluation = None, None
            record = found.record
            if study.trains_winner and record.best is not None:  # even after a timeout
                final = partial(train_winner, recipe, prepared, record, executor_share, watch)
                trained = train_within_budget(budget, watch, partial(final, budget))
                winner = winner_folder(prepared.folder, record, found.replication)
                if trained is not None:
                    winner = trained.best(prepared.settings.direction)
                measured = partial(evaluate_run, recipe, winner, composed.config, None)
                if trained is not None or winner.checkpoints.exists():
                    evaluation = evaluate_within_budget(budget, watch, measured)
                else:
                    watch.notice(
                        f"the best trial {_why_without_weights(record)}, and its weights are not "
                        "here: best_config.yaml is the result"
                    )
            standing.end("finished" if found.ending == "finished" else "stopped")
            return TuneResult(
                prepared.folder,
                found.record,
                found.ending,
                trained,
                evaluation,
                exhausted=found.exhausted,
                replication=found.replication,
            )
    finally:
        lock.release()


def _why_without_weights(record: StudyRecord) -> str:
    if record.winner is not None and record.winner.imported_from:
        return "ran in another study"
    return "was beaten in the search and won by replicates of an earlier call"


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
    lock = FolderLock(folder.path, watch.notice)
    try:
        return train_in_full(
            FullTraining(folder, composed.tree, recipe, metric, guard=lock.verify),
            composed.config,
            share(composed.config.executor, composed.config.study.jobs),
            watch,
        )
    finally:
        lock.release()
