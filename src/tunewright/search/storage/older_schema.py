"""Read a database of an older Optuna: a copy of it is upgraded, and the file stays as it is."""

import contextlib
import logging
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from optuna.storages import RDBStorage

from tunewright.runs.machine import temporary_folders
from tunewright.runs.sqlite_url import sqlite_url
from tunewright.search.storage.sqlite import reading

VERSION = "alembic_version"
"""The table with the version of the tables."""
NEWEST = "trial_heartbeats"
"""The last of the tables that Optuna added, long after `VERSION`."""
CURRENT = ("v3.2.0.a",)
"""Versions of Optuna's tables that need no upgrade; Optuna 5 has not changed them since 3.2."""


@contextlib.contextmanager
def with_current_schema(file: Path) -> Iterator[Path]:
    """Yield a database file with the tables of this Optuna: `file`, or an upgraded copy of it.

    A file of a newer Optuna, or of another program, is yielded as it is. Raises Optuna's and
    SQLAlchemy's errors where the upgrade fails.
    """
    if not is_older(file):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix=temporary_folders.prefix()) as folder:
        copy = Path(folder) / "upgraded.db"
        with _open_to_read(file) as source, contextlib.closing(sqlite3.connect(copy)) as target:
            source.backup(target)  # whole, also while another program writes
        _upgrade(copy)
        yield copy


def is_older(file: Path) -> bool:
    """Return whether a file holds studies in other tables than those of this Optuna."""
    try:
        with _open_to_read(file) as connection:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in found}
            if "studies" not in tables or "version_info" not in tables:
                return False
            if VERSION not in tables:  # before Optuna 1.0 counted its versions, or lost
                return NEWEST not in tables
            row = connection.execute(f"SELECT version_num FROM {VERSION}").fetchone()
            return row is None or row[0] not in CURRENT
    except (sqlite3.Error, OSError):
        return False  # the reader of its studies says what is wrong with it


def _upgrade(copy: Path) -> None:
    storage = RDBStorage(sqlite_url(copy), skip_compatibility_check=True, skip_table_creation=True)
    try:
        if storage.get_current_version() not in storage.get_all_versions():
            return  # a newer one
        with warnings.catch_warnings(), _own_logging():
            warnings.simplefilter("ignore", FutureWarning)  # of the older names of domains
            storage.upgrade()
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextlib.contextmanager
def _own_logging() -> Iterator[None]:
    """Keep the loggers as they are: where none has a handler, Optuna's migration sets them up."""
    nothing = logging.NullHandler()
    logging.getLogger().addHandler(nothing)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(nothing)


@contextlib.contextmanager
def _open_to_read(file: Path) -> Iterator[sqlite3.Connection]:
    with reading(file) as arguments, contextlib.closing(arguments["creator"]()) as connection:
        yield connection
