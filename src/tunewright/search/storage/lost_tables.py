"""Tables that a SQLite database has lost, which Optuna makes anew, and empty, to write to it."""

import contextlib
import sqlite3
from pathlib import Path

from optuna.storages._rdb.models import BaseModel

from tunewright.search.storage.older_schema import CURRENT, VERSION
from tunewright.search.storage.sqlite import reading

DATA = frozenset(BaseModel.metadata.tables) - {"version_info"}
TABLES = DATA | {"version_info", VERSION}


def lost_tables(file: Path) -> list[str]:
    """Return the tables that a database of studies lacks though others of its tables hold rows.

    Without any rows, it is what a kill left while the tables were made.
    """
    with (
        contextlib.suppress(sqlite3.Error, OSError),  # a file that does not open is told elsewhere
        reading(file) as arguments,
        contextlib.closing(arguments["creator"]()) as connection,
    ):
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        found = {str(name) for (name,) in connection.execute(query)}
        lost = sorted(TABLES - found)
        if not lost or not found & DATA:
            return []
        if VERSION in found:
            row = connection.execute(f"SELECT version_num FROM {VERSION}").fetchone()
            if row is None or row[0] not in CURRENT:
                return []  # the tables of another Optuna
        holds = (
            connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
            for table in sorted(found & DATA)
        )
        return lost if any(holds) else []
    return []
