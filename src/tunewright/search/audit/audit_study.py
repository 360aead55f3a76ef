"""Run an audit: configurations of a study trained in full, in a folder of their own."""

from collections.abc import Sequence

from tunewright.analysis.audit.agreement import FEWEST
from tunewright.analysis.audit.judge import FidelityAudit, judge_audit, judge_curves
from tunewright.analysis.audit.left_behind import describe_left
from tunewright.analysis.audit.levels import AuditedRun, FidelityLevel
from tunewright.config.compose import Composition
from tunewright.errors import LeaseLost, StudyError
from tunewright.executors.executor import let_go
from tunewright.executors.factory import make_executor
from tunewright.executors.inline import InlineExecutor
from tunewright.executors.resources import share
from tunewright.recipes.fidelity import check_single_run
from tunewright.recipes.recipe import Recipe
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.record import StudyRecord
from tunewright.runs.shared_choice import begin_sharing
from tunewright.search.audit.audit_loop import AuditLoop, AuditRun
from tunewright.search.audit.plan_audit import (
    AuditedConfiguration,
    AuditPlan,
    Compose,
    describe_plan,
    plan_audit,
    require_folder,
)
from tunewright.search.audit.stored_audit import (
    StoredAudit,
    audit_folder,
    read_audit,
    read_run,
    write_audit,
)
from tunewright.search.callbacks import StudyCallback
from tunewright.search.loop.lease import FolderLock
from tunewright.search.reporting.study_view import StudyView
from tunewright.search.signals import Interrupted, stop_flag
from tunewright.search.storage.trusted_servers import refuse_stored_servers
from tunewright.search.training_run import write_configs


def audit_study(
    view: StudyView,
    recipe: Recipe,
    compose: Compose,
    *,
    configurations: int = 12,
    jobs: int | None = None,
    watch: StudyCallback | None = None,
) -> FidelityAudit:
    """Train a spread of configurations in full and compare with the search; the same call resumes.

    Nothing is written into the study's database: runs and figures lie in `audit/` of its folder.
    Raises Interrupted when a stop was requested, with the figures so far stored.
    """
    watch = watch or StudyCallback()
    folder, record = require_folder(view), view.record
    plan, audited = plan_audit(view, recipe, compose, configurations)
    first = audited[0].composed
    refuse_stored_servers(first)
    for notice in [*plan.notes, *check_single_run(recipe, first.config)]:
        watch.notice(notice)
    watch.notice(describe_plan(plan))
    lock = FolderLock(audit_folder(folder), watch.notice)
    try:
        runs = _begin(recipe, folder, audited)

        def store() -> None:
            write_audit(folder, _update(folder, plan, audited, record))

        loop = AuditLoop(
            [run for run in runs if not _has_ended(run.folder)],
            record.goal,
            sum(_has_ended(run.folder) for run in runs),
            first.config.executor,
            watch,
            store,
        )
        loop.guard = lock.verify
        _train(recipe, first, loop, jobs, folder)
        store()
        return judge_audit(record, read_audit(folder).levels)
    finally:
        lock.release()


def audit_curves(view: StudyView) -> FidelityAudit:
    """Compare the epochs of a study's finished trials with their ends; nothing is trained.

    Of a search by curves it also says how many winners were left at a rung. Raises StudyError where
    too few have curves.
    """
    record = view.record
    done = record.of_state("done")
    last = max((max(trial.curve, default=0) for trial in done), default=0)
    curves = {trial.number: trial.curve for trial in done if len(trial.curve) > 1}
    left = describe_left(record)
    if (len(curves) < FEWEST and not left) or last < 2:
        raise StudyError(
            f"{len(curves)} finished trials of {record.name!r} have a learning curve",
            expected=f"{FEWEST} or more that reported after several epochs",
            remedy="Report after each epoch, and run more trials.",
        )
    return judge_curves(record.name, record.goals[0], curves, left)


def _begin(
    recipe: Recipe, folder: StudyFolder, audited: Sequence[AuditedConfiguration]
) -> list[AuditRun]:
    """Write the configurations of runs that were not begun; return all runs."""
    if recipe.uses_trainer:
        epochs = sum(one.composed.config.training.epochs * len(one.folders) for one in audited)
        begin_sharing(audit_folder(folder), epochs)
    runs = []
    for one in audited:
        places = write_configs(one.folder, one.composed.tree, recipe.config)
        number, epochs = one.trial.number, one.composed.config.training.epochs
        runs += [
            AuditRun(place, f"trial {number} in full", dict(one.trial.parameters), number, epochs)
            for place in places
        ]
    return runs


def _has_ended(folder: RunFolder) -> bool:
    outcome = folder.read_outcome()
    return outcome is not None and outcome.state != "paused"


def _update(
    folder: StudyFolder,
    plan: AuditPlan,
    audited: Sequence[AuditedConfiguration],
    record: StudyRecord,
) -> StoredAudit:
    """Return the stored audit with what this level's runs have given so far."""
    read = (read_run(one.trial.number, one.folders, record.goal) for one in audited)
    runs: list[AuditedRun] = [run for run in read if run is not None]
    known = read_audit(folder)
    before = next((one for one in known.levels if dict(one.values) == dict(plan.values)), None)
    now = {run.trial for run in runs}
    others = [run for run in before.runs if run.trial not in now] if before else []
    return known.with_level(FidelityLevel(plan.values, (*runs, *others)))


def _train(
    recipe: Recipe, composed: Composition, loop: AuditLoop, jobs: int | None, folder: StudyFolder
) -> None:
    """Run the loop; raise Interrupted where it was stopped."""
    if not loop.waiting:
        return
    config = composed.config
    machine = share(config.executor, jobs if jobs is not None else config.study.jobs)
    executor = make_executor(recipe, config, machine, loop.poll, folder.path)
    try:
        with stop_flag(at_once=isinstance(executor, InlineExecutor)) as stop:
            ending = loop.run(executor, stop)
    except KeyboardInterrupt:
        ending = "interrupted"
    except LeaseLost:
        let_go(executor)
        raise
    finally:
        executor.close()
    if ending != "finished":
        progress = loop.progress()
        raise Interrupted(
            f"stopped: {progress.ended} of {progress.total} runs of the audit have ended; the "
            "others resume from their last checkpoints",
            remedy="Run the same command again to resume.",
        )
