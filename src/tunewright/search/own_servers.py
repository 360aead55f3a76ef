"""Whose a database server is: one is asked only when the user names it, not when a file does.

To whatever host it is sent, a driver hands what it finds around it: PGPASSWORD, ~/.pgpass, a
service, certificates, a ticket of Kerberos, the user's own name. A study's folder may have come
from anybody. So no connection is ever made with a server's URL that was read from one: it only
says which of the URLs that the user gave is meant.
"""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from tunewright.config.sources import Source
from tunewright.errors import StudyError
from tunewright.runs.sqlite_url import sqlite_file
from tunewright.search.address import SECRET, absolute_url, without_password

VARIABLE = "TUNEWRIGHT_STORAGE"
"""Environment variable with URLs of the user's own databases, separated by spaces."""


def own_url(stored: str, where: Path, given: Iterable[str | None] = ()) -> str:
    """The URL by which to open a database that a stored file names.

    A SQLite file is opened as it is named. For a server, the one among `given`, which were
    typed, and those of TUNEWRIGHT_STORAGE that means the same database; user and password are
    its own. where: the stored file. Raises StudyError when there is none.
    """
    if sqlite_file(stored) is not None:
        return absolute_url(stored)
    wanted = _database(stored)
    for url in [*given, *os.environ.get(VARIABLE, "").split()]:
        if url and wanted is not None and _database(url) == wanted:
            return url
    raise _not_named(stored, where)


def refuse_left(url: str, source: Source) -> None:
    """StudyError for a server that only a file in a study's or a run's folder sets.

    A configuration file of the user's own may name one.
    """
    if source.file is not None and sqlite_file(url) is None and _is_left(source.file):
        own_url(url, source.file)


def _is_left(file: Path) -> bool:
    """Whether a file lies where studies and runs leave theirs."""
    folders = list(file.resolve().parents)[:3]
    return (
        any((folder / "study.yaml").exists() for folder in folders)
        or (folders[0] / "attempt.json").exists()
    )


def _database(url: str) -> tuple[object, ...] | None:
    """What a URL asks for, whoever asks; None for what is no URL."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None
    kind = parsed.get_backend_name().replace("postgresql", "postgres")
    options = {key: value for key, value in parsed.query.items() if key not in (*SECRET, "user")}
    return (kind, (parsed.host or "").lower(), parsed.port, parsed.database, options)


def _not_named(stored: str, where: Path) -> StudyError:
    shown = without_password(stored)
    typed = shlex.quote(shown)
    return StudyError(
        f"the study is stored on a server, {_server(stored)}, which only {where} names; nothing "
        "was sent there",
        expected="a server that you name yourself, since a file may come from anybody and a "
        "password must not go to whatever host it names",
        remedy=f"If the server is yours: --storage {typed}, or for every command export "
        f"{VARIABLE}={typed}. If it is not, rebuild the database from the run folders: "
        f"tunewright repair {shlex.quote(str(where.parent))} "
        f"--storage {shlex.quote(str(where.parent / 'study.db'))}.",
    )


def _server(stored: str) -> str:
    try:
        parsed: URL | None = make_url(stored)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or not parsed.host:
        return without_password(stored)
    return parsed.host if parsed.port is None else f"{parsed.host}:{parsed.port}"
