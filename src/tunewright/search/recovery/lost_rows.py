"""Rows that a study's database has lost, which Optuna reads as if they had never been there.

Optuna numbers the trials of a study from 0 without gaps and never deletes one, so that a gap, or a
row that belongs to a trial which is gone, tells that a row was lost.
"""

import shlex
import sqlite3
from contextlib import closing, suppress

import optuna
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import text

from tunewright.errors import StudyError
from tunewright.runs.documents import parse_json
from tunewright.runs.folder import StudyFolder, without_strays
from tunewright.runs.sqlite_url import sqlite_file
from tunewright.search.storage.database import OURS
from tunewright.search.storage.lost_tables import lost_tables
from tunewright.search.storage.sqlite import reading
from tunewright.search.study.optuna_types import DROPPED, IMPORTED

ORPHANS = "PRAGMA foreign_key_check"
"""Lists the rows of a SQLite database whose trial or study is gone: first their table."""
TRIALS = """SELECT number, trial_id, state FROM trials
    JOIN studies ON trials.study_id = studies.study_id WHERE study_name = ? ORDER BY number"""
SETTINGS = """SELECT value_json FROM study_user_attributes AS attributes
    JOIN studies ON attributes.study_id = studies.study_id WHERE study_name = ? AND key = ?"""
ELSEWHERE = "SELECT trial_id FROM trial_user_attributes WHERE key IN (?, ?)"
"""Trials without a run in this study."""


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
    if file is None or not file.is_file() or file.resolve() != folder.database.resolve():
        return ""
    if lost := lost_tables(file):
        return f"table {', '.join(lost)} is gone"
    with (
        suppress(sqlite3.Error),  # a file that does not open is told of elsewhere
        reading(file) as arguments,
        closing(arguments["creator"]()) as connection,
    ):
        return _orphans(connection) or _gaps(connection, name)
    return ""


def count_lost_trials(study: optuna.Study, storage: BaseStorage) -> int:
    """Return how many trials of a study its storage has lost, as far as it tells.

    A row of a trial that is gone belongs to the one study of the storage.
    """
    lost = len(missing_numbers(study))
    if lost or not isinstance(storage, RDBStorage) or storage.engine.dialect.name != "sqlite":
        return lost
    alone = len(optuna.get_all_study_names(storage)) == 1
    if not alone:
        return 0
    with storage.engine.connect() as connection:
        return 1 if connection.execute(text(ORPHANS)).first() else 0


def missing_numbers(study: optuna.Study) -> list[int]:
    """Return the numbers below the highest one that no trial of a study has."""
    numbers = without_strays(trial.number for trial in study.get_trials(deepcopy=False))
    return sorted(set(range(max(numbers, default=-1) + 1)) - numbers)


def _orphans(connection: sqlite3.Connection) -> str:
    tables = {str(row[0]) for row in connection.execute(ORPHANS)}
    if not tables:
        return ""
    return f"rows of {', '.join(sorted(tables))} belong to a trial or study that is gone"


def _gaps(connection: sqlite3.Connection, name: str) -> str:
    """Return which trials of a study are gone, or which finished one lacks a parameter."""
    trials = {number: (trial, state) for number, trial, state in connection.execute(TRIALS, [name])}
    numbers = without_strays(trials)
    if strays := sorted(trials.keys() - numbers):
        return f"trial {strays[0]} is numbered far above the others"
    if gaps := sorted(set(range(max(numbers, default=-1) + 1)) - numbers):
        return f"trial {', '.join(map(str, gaps))} is gone"
    try:
        [(stored,)] = connection.execute(SETTINGS, [name, OURS]).fetchall()
        parameters = parse_json(parse_json(stored), finite=False)["space"]["parameters"]
        always = {path for path, fields in parameters.items() if not fields.get("when")}
    except (ValueError, TypeError, LookupError, AttributeError):
        return ""  # damaged otherwise, which is told where the settings are read
    known: dict[int, set[str]] = {}
    for trial, parameter in connection.execute("SELECT trial_id, param_name FROM trial_params"):
        known.setdefault(trial, set()).add(parameter)
    placed = {trial for (trial,) in connection.execute(ELSEWHERE, [DROPPED, IMPORTED])}
    for number, (trial, state) in trials.items():
        lacking = sorted(always - known.get(trial, set()))
        if lacking and state == "COMPLETE" and trial not in placed:
            return f"{', '.join(lacking)} of trial {number} is gone"
    return ""
