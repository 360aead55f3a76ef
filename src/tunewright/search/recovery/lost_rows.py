"""Rows that a study's database has lost, which Optuna reads as if they had never been there.

Optuna numbers the trials of a study from 0 without gaps and never deletes one, so that a gap, or a
row that belongs to a trial which is gone, tells that a row was lost.
"""

import contextlib
import shlex
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState
from sqlalchemy import Engine, text

from tunewright.errors import StudyError
from tunewright.runs.folder import StudyFolder
from tunewright.runs.sqlite_url import sqlite_file
from tunewright.search.storage.database import settings_in, storage_to_read
from tunewright.search.study.optuna_types import DROPPED, IMPORTED


def refuse_lost_rows(url: str, name: str, folder: StudyFolder) -> None:
    """Raise StudyError where the database in a study's folder has lost rows of it."""
    if lost := lost_rows(url, name, folder):
        raise StudyError(
            f"{folder.database} is damaged: {lost}",
            expected="every row that was stored",
            remedy="Every finished trial is in the run folders. Rebuild the database from them "
            f"(tunewright repair {shlex.quote(str(folder.path))}) and run the same command again.",
        )


def lost_rows(url: str, name: str, folder: StudyFolder) -> str:
    """Return what the database in a study's folder has lost, in a few words; empty for nothing.

    Of databases elsewhere, which may hold other studies, nothing is told.
    """
    file = sqlite_file(url)
    if file is None or file.resolve() != folder.database.resolve():
        return ""
    with storage_to_read(url) as storage:
        if storage is None:
            return ""
        orphans = orphaned_rows(storage.engine)
        if orphans:
            return f"rows of {', '.join(sorted(orphans))} belong to a trial or study that is gone"
        with contextlib.suppress(KeyError):  # no study of that name
            study = optuna.load_study(study_name=name, storage=storage)
            if gaps := missing_numbers(study):
                return f"trial {', '.join(map(str, gaps))} is gone"
            return _lost_parameters(study)
    return ""


def count_lost_trials(study: optuna.Study, storage: BaseStorage) -> int:
    """Return how many trials of a study its storage has lost, as far as it tells.

    A row of a trial that is gone belongs to the one study of the storage.
    """
    lost = len(missing_numbers(study))
    if lost or not isinstance(storage, RDBStorage) or storage.engine.dialect.name != "sqlite":
        return lost
    alone = len(optuna.get_all_study_names(storage)) == 1
    return 1 if alone and orphaned_rows(storage.engine) else 0


def missing_numbers(study: optuna.Study) -> list[int]:
    """Return the numbers below the highest one that no trial of a study has."""
    numbers = {trial.number for trial in study.get_trials(deepcopy=False)}
    return sorted(set(range(max(numbers, default=-1) + 1)) - numbers)


def orphaned_rows(engine: Engine) -> dict[str, set[int]]:
    """Return the rows of a SQLite database whose trial or study is gone: their ids, by table."""
    found: dict[str, set[int]] = {}
    with engine.connect() as connection:
        for table, row, *_ in connection.execute(text("PRAGMA foreign_key_check")):
            found.setdefault(str(table), set()).add(int(row or 0))
    return found


def _lost_parameters(study: optuna.Study) -> str:
    """Return which finished trial lacks a parameter that every trial has."""
    settings = settings_in(study.user_attrs)
    stored: dict[str, Any] = dict(settings.space.get("parameters", {})) if settings else {}
    always = {path for path, fields in stored.items() if not fields.get("when")}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        lacking = sorted(always - trial.params.keys())
        if lacking and not trial.user_attrs.keys() & {DROPPED, IMPORTED}:
            return f"{', '.join(lacking)} of trial {trial.number} is gone"
    return ""
