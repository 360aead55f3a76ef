"""Open SQLite files: for the coordinator that writes, or read-only.

The coordinator uses write-ahead logging (WAL): a commit is one write to `study.db-wal`, readers and
the writer do not wait for each other, and a killed process leaves whole commits. At the end the
study is one ordinary file again, which can be copied and read from anywhere.
"""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy.pool import NullPool

from tunewright.runs.machine import temporary_folders
from tunewright.runs.sqlite_url import sqlite_uri

BUSY_SECONDS = 60.0
"""Seconds that a write waits for another program, such as a dashboard."""
SWITCH_SECONDS = 5.0
"""Seconds to wait for the change of journal mode; without it the file is as safe, only slower."""
SIDES = ("-wal", "-shm", "-journal")
"""Suffixes of the files beside a database that is open, or whose process was killed."""
UNREACHABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
"""Errors of a reader without write permission: it cannot roll back, or index what was written."""
NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "fuse.", "ncpfs")
"""File systems on which processes of two machines do not see each other's shared memory."""


def write_ahead(file: Path, on_notice: Callable[[str], None]) -> dict[str, Any]:
    """Return engine arguments that use write-ahead logging; notify where the file system cannot.

    `synchronous` is NORMAL there: committed data is in the page cache, which outlives the process,
    and the file is never torn. Only a crash of the machine can lose the newest commits; their data
    is in the run folders, from which the next session restores it.
    """
    network = on_network(file)
    notified: list[str] = []

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        mode = set_journal(connection, "delete" if network else "wal")
        connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}")
        connection.execute(f"PRAGMA synchronous={'NORMAL' if mode == 'wal' else 'FULL'}")
        if mode != "wal" and not notified:
            why = f"{network} is a network file system" if network else f"it stays in {mode} mode"
            notified.append(why)
            on_notice(
                f"{file} uses a rollback journal, which is as safe but slower: {why}; a local "
                "disk (--runs-dir) or a server (--storage postgresql://...) is faster"
            )

    return {
        "connect_args": {"timeout": BUSY_SECONDS},
        "pool_events": [(on_connect, "connect")],
    }


def one_file(file: Path) -> None:
    """Move the write-ahead log into the file, so that it is readable on any medium.

    Where another program has the file open, closing it there does the same; nothing is lost.
    """
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(file)) as own:
        if set_journal(own, "delete") != "delete":
            own.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextlib.contextmanager
def reading(file: Path, seconds: float = BUSY_SECONDS) -> Iterator[dict[str, Any]]:
    """Yield engine arguments for reading only, which leave nothing beside the file.

    A file that cannot be read in place (a killed study's, in a folder without write permission) is
    read from a copy. seconds: how long to wait for a program that locks it. Raises
    sqlite3.DatabaseError for a file that is no database.
    """
    with contextlib.ExitStack() as stack:
        uri = _reading_uri(file)
        try:
            _try(uri, seconds)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in UNREACHABLE:
                raise
            copies = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix=temporary_folders.prefix()))
            )
            uri = _uri(_copy_database(file, copies), "mode=rw")
            _try(uri, seconds)
        yield {"creator": lambda: _connect(uri, seconds), "poolclass": NullPool}


def broken(file: Path) -> str:
    """Return what is wrong with a database file, in a few words; empty when nothing is."""
    if not file.exists():
        return "it is missing"
    try:
        with (
            reading(file, SWITCH_SECONDS) as arguments,
            contextlib.closing(arguments["creator"]()) as connection,
        ):
            [(answer,), *_] = connection.execute("PRAGMA integrity_check(1)").fetchall()
    except (sqlite3.Error, OSError) as error:
        return str(error)
    return "" if answer == "ok" else str(answer)


def on_network(file: Path) -> str:
    """Return the network file system that a file would lie on; empty for a local disk."""
    folder = file.resolve().parent
    mounts = [m for m in psutil.disk_partitions(all=True) if folder.is_relative_to(m.mountpoint)]
    kind: str = max(mounts, key=lambda m: len(m.mountpoint)).fstype if mounts else ""
    return kind if kind.startswith(NETWORK) else ""


def set_journal(connection: sqlite3.Connection, wanted: str) -> str:
    """Change the journal mode if no other program prevents it; return the mode afterwards."""
    connection.execute(f"PRAGMA busy_timeout={SWITCH_SECONDS * 1000:.0f}")
    with _decoding_errors():
        try:
            [mode] = connection.execute(f"PRAGMA journal_mode={wanted}").fetchone()
        except sqlite3.OperationalError:  # locked, or a read-only folder
            [mode] = connection.execute("PRAGMA journal_mode").fetchone()
    return str(mode)


def _reading_uri(file: Path) -> str:
    with file.open("rb") as stream:
        header = stream.read(20)
    ahead = header[18:20] == b"\x02\x02"
    if ahead and not file.with_name(f"{file.name}-wal").exists():
        # No writer is active. Unless opened as immutable, SQLite would create two files that a
        # reader cannot remove. A writer that starts at this moment appends to its own log for
        # hundreds of trials before it touches this file.
        return _uri(file, "mode=ro&immutable=1")
    return _uri(file, "mode=ro")


def _uri(file: Path, options: str) -> str:
    return f"{sqlite_uri(file.resolve())}?{options}"


def _connect(uri: str, seconds: float) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=seconds, check_same_thread=False)


def _try(uri: str, seconds: float) -> None:
    with contextlib.closing(_connect(uri, seconds)) as connection, _decoding_errors():
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()


@contextlib.contextmanager
def _decoding_errors() -> Iterator[None]:
    """Raise SQLite's own error where its message quotes damaged bytes of the schema."""
    try:
        yield
    except UnicodeDecodeError:
        raise sqlite3.DatabaseError("malformed database schema") from None


def _copy_database(file: Path, folder: Path) -> Path:
    for name in (file.name, f"{file.name}-wal", f"{file.name}-journal"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(file.with_name(name), folder / name)
    return folder / file.name
