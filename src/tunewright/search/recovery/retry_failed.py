"""Run failed trials again, with their numbers and settings."""

import shutil
from collections.abc import Set

import optuna
from optuna.trial import FrozenTrial
from sqlalchemy import text
from sqlalchemy.engine import Connection

from tunewright.errors import UsageError
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.storage.database import Settings, close_storage, open_storage
from tunewright.search.storage.database_errors import storage_errors
from tunewright.search.study.optuna_types import record_of
from tunewright.search.study.trial_tags import AVOIDED, GOOD


def failed_trials(record: StudyRecord, which: bool | str) -> list[Trial]:
    """Return the trials of the study that failed.

    which: True for all that failed for a reason outside of their settings; else a cause such as
    `killed` or `out of memory`, or words of the reason. Raises UsageError where none is left.
    """
    if which is True:
        return [trial for trial in record.own if trial.state == "failed"]
    wanted = str(which).strip().lower()
    ended = [trial for trial in record.own if trial.state in ("failed", "infeasible")]
    found = [trial for trial in ended if trial.cause == wanted]
    found = found or [trial for trial in ended if wanted in trial.reason.lower()]
    if not found and ended:
        causes = ", ".join(sorted({trial.cause or "error" for trial in ended}))
        raise UsageError(
            f"no trial of {record.name!r} failed for {which!r}",
            expected=f"true for all of them, one of the causes {causes}, or words of a reason",
        )
    return found


def reopen(
    url: str, name: str, settings: Settings, folder: StudyFolder, which: bool | str
) -> list[int]:
    """Make failed trials of a study unfinished again; return their numbers.

    which: see `failed_trials`. Their runs begin anew; those of other seeds that were done stay. A
    kill in the middle leaves a trial that failed.
    """
    storage = open_storage(url)
    try:
        with storage_errors(url):
            study = optuna.load_study(study_name=name, storage=storage)
            numbers = [trial.number for trial in failed_trials(record_of(study, settings), which)]
            stored = [t for t in study.get_trials(deepcopy=False) if t.number in numbers]
            with storage.engine.begin() as connection:
                for trial in stored:
                    forget_end(connection, trial, {AVOIDED, GOOD})
    finally:
        close_storage(url, storage)
    for number in numbers:
        for run in folder.trial(number).with_seeds():
            _forget_run(run)
    return numbers


def forget_end(
    connection: Connection, trial: FrozenTrial, kept: Set[str], *, keeps_curve: bool = False
) -> None:
    """Make a trial running again, which no method of Optuna does.

    kept: user attributes that say what it is, not how it ended.
    """
    row = {"trial": trial._trial_id}
    connection.execute(
        text(
            "UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE trial_id = :trial"
        ),
        row,
    )
    tables = ["trial_values", "trial_system_attributes"]
    for table in tables if keeps_curve else [*tables, "trial_intermediate_values"]:
        connection.execute(text(f"DELETE FROM {table} WHERE trial_id = :trial"), row)
    for key in trial.user_attrs.keys() - kept:
        connection.execute(
            text("DELETE FROM trial_user_attributes WHERE trial_id = :trial AND key = :key"),
            {**row, "key": key},
        )


def _forget_run(run: RunFolder) -> None:
    """Remove what a run left behind, besides its configuration and its log, unless it was done."""
    outcome = run.read_outcome()
    if outcome is None or outcome.state == "done":
        return
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    run.progress.unlink(missing_ok=True)
    run.outcome.unlink(missing_ok=True)
