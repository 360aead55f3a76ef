"""One error for the many ways in which a database fails, with what to do."""

import shlex
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from tunewright.errors import StorageLost, StudyError
from tunewright.runs.sqlite_url import sqlite_file
from tunewright.search.storage.retrying_storage import ServerUnavailable, first_line
from tunewright.search.storage.urls import without_password

EXAMPLE = "For example sqlite:///study.db or postgresql://user@host/name."
DRIVER = f"Install the package of that database, or use another one. {EXAMPLE}"
DAMAGES = ("not a database", "malformed", "no such table", "no such column", "Is a directory")
"""Parts of the messages over a file that tunewright repair rebuilds."""
OTHER_TABLES = "compatible with the table schema"
"""Part of Optuna's message over the tables of another version."""
DAMAGED_VALUE = (ValueError, TypeError, LookupError, AttributeError, RuntimeError)
"""Errors of Optuna over a stored value that it did not write."""


@contextmanager
def storage_errors(url: str, kind: type[StudyError] = StorageLost) -> Iterator[None]:
    """Turn the many ways in which a database fails into one error with the remedy.

    kind: StorageLost when it fails in the middle of a study, StudyError when it is opened.
    """
    try:
        yield
    except RuntimeError as error:
        if OTHER_TABLES not in str(error):
            raise
        raise other_tables(url, older="storage upgrade" in str(error)) from error
    except (
        StorageInternalError,
        SQLAlchemyError,
        sqlite3.Error,
        ImportError,
        OSError,
        ServerUnavailable,
    ) as error:
        cause = first_line(error.__cause__ or error)
        raise kind(
            f"the storage {without_password(url)} does not answer: {cause}",
            remedy=_remedy(url, cause) if not isinstance(error, ImportError) else DRIVER,
        ) from error


@contextmanager
def stored_value_errors(url: str) -> Iterator[None]:
    """Turn the errors of Optuna over a damaged value in a whole database into a StudyError."""
    try:
        yield
    except DAMAGED_VALUE as error:
        if OTHER_TABLES in str(error):
            raise other_tables(url, older="storage upgrade" in str(error)) from error
        raise StudyError(
            f"the storage {without_password(url)} holds a value that cannot be read "
            f"({type(error).__name__}: {first_line(error)})",
            remedy=_remedy(url, "malformed"),
        ) from error


def other_tables(url: str, *, older: bool) -> StudyError:
    """Return the error over a storage with the tables of another version of Optuna."""
    shown = without_password(url)
    upgrade = f"optuna storage upgrade --storage {shlex.quote(shown)}"
    remedy = f"Keep a copy of it and upgrade it: {upgrade}."
    if not older:
        remedy = "A newer Optuna wrote it: pip install -U optuna."
    return StudyError(
        f"the storage {shown} has the tables of another version of Optuna",
        expected=f"those of Optuna {optuna.__version__}",
        remedy=remedy,
    )


def lacking_tables(url: str, lost: Sequence[str]) -> StudyError:
    """Return the error over a storage that has lost tables, which nothing may make anew, empty."""
    return StudyError(
        f"the storage {without_password(url)} is damaged: {', '.join(lost)} is gone",
        expected="every table that holds a study",
        remedy=_remedy(url, "no such table"),
    )


def _remedy(url: str, cause: str) -> str:
    again = "Every finished trial is in the run folders. "
    file = sqlite_file(url)
    if any(text in cause for text in DAMAGES):
        study = "STUDY"
        if file is not None and (file.parent / "study.yaml").exists():
            study = shlex.quote(str(file.parent))
        return (
            f"{again}Rebuild the database from them (tunewright repair {study}) and run the "
            "same command again."
        )
    if "Could not parse" in cause or "load plugin" in cause:
        return EXAMPLE
    if "password" in cause:
        return (
            "Pass it in --storage, in PGPASSWORD or in ~/.pgpass: no password is stored "
            "with a study."
        )
    if file is not None and ("full" in cause or "I/O" in cause):
        return f"{again}Free space on its disk and run the same command again."
    if "readonly" in cause or "read-only" in cause:
        return f"{again}Make it writable and run the same command again."
    return f"{again}Bring the storage back and run the same command again."
