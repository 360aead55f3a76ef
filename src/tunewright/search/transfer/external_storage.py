"""Read storages of other programs, without writing: databases, their files, journals."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from sqlalchemy.exc import SQLAlchemyError

from tunewright.errors import StudyError
from tunewright.runs.sqlite_url import sqlite_file
from tunewright.search.storage.database import choose_study, quiet, storage_to_read
from tunewright.search.storage.journal import is_journal, open_journal
from tunewright.search.storage.urls import without_password
from tunewright.search.transfer.stored_trials import StoredStudy, study_in

SQLITE = b"SQLite format 3"
"""First bytes of a SQLite file."""


def foreign_study(url: str, name: str | None) -> StoredStudy:
    """Return a study in any Optuna storage. name: None for the only one that it holds.

    url: of a database, or the path of a journal file. Nothing is written, not even a table or a
    lock beside the file. Raises StudyError for a file that is no such storage, and for a name that
    it does not hold.
    """
    with _read_only(url) as storage:
        shown = without_password(url)
        remedy = f"Name the study after the address: {shown}#NAME"
        return study_in(storage, choose_study(storage, name, shown, remedy))


@contextmanager
def _read_only(url: str) -> Iterator[BaseStorage]:
    file = sqlite_file(url) if "://" in url else Path(url)
    shown = without_password(url)
    if file is not None and not file.is_file():
        raise StudyError(f"{file} does not exist", expected="an Optuna database or journal")
    with quiet(), _translate_errors(shown):
        if "://" in url:
            with storage_to_read(url) as storage:
                if storage is None:
                    raise StudyError(f"{shown} holds no study", expected="an Optuna storage")
                yield storage
            return
        assert file is not None
        if not is_journal(file):
            raise StudyError(
                f"{file}", expected="a SQLite database, an Optuna journal, or a file named .csv"
            )
        yield open_journal(file)


@contextmanager
def _translate_errors(shown: str) -> Iterator[None]:
    """Turn Optuna's errors about an unreadable storage into ours."""
    try:
        yield
    except _UNREADABLE as error:
        cause = str(error.__cause__ or error).strip().partition("\n")[0]
        raise StudyError(
            f"{shown} cannot be read: {cause or type(error).__name__}",
            expected="a storage of Optuna 5",
        ) from error


_UNREADABLE = (
    StorageInternalError,
    SQLAlchemyError,
    sqlite3.Error,
    RuntimeError,
    AssertionError,
    LookupError,
    ValueError,
    TypeError,
)
"""Exceptions that Optuna raises for a torn, older or foreign file."""
