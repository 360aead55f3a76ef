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

from tunewright.config.compose import Composition
from tunewright.config.sources import source_of
from tunewright.errors import StudyError
from tunewright.runs.folder import StudyFolder
from tunewright.runs.sqlite_url import sqlite_file
from tunewright.search.storage.urls import SECRET, absolute_url, without_password

VARIABLE = "TUNEWRIGHT_STORAGE"
"""Environment variable with URLs of the user's own databases, separated by spaces."""
TRACKING = "MLFLOW_TRACKING_URI"
"""MLflow's own variable for its server."""
EXPECTED = (
    "a server that you name yourself, since a file may come from anybody and a password must not "
    "go to whatever host it names"
)


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


def refuse_left(composed: Composition) -> None:
    """Refuse servers that only a file in a study's or a run's folder sets, as `own_url` does.

    A configuration file of the user's own may name a storage and a tracker's server.
    """
    config, sources = composed.config, composed.sources
    storage, file = config.study.storage, source_of(sources, "study.storage").file
    if storage is not None and file is not None and _is_left(file) and sqlite_file(storage) is None:
        own_url(storage, file)
    tracker, file = config.trackers.mlflow, source_of(sources, "trackers.mlflow.uri").file
    if tracker is not None and file is not None and _is_left(file):
        refuse_tracker(tracker.uri, file)


def refuse_tracker(uri: str | None, where: Path) -> None:
    """StudyError for an MLflow server, or its database, that only the file `where` names."""
    named = os.environ.get(TRACKING)
    if uri is None or "://" not in uri or uri.startswith("file:") or uri == named:
        return
    if sqlite_file(uri) is None:
        shown = shlex.quote(without_password(uri))
        raise StudyError(
            f"copies for MLflow would go to {shown}, which only {where} names; nothing was sent "
            "there",
            expected=EXPECTED,
            remedy=f"If the server is yours: export {TRACKING}={shown}, or set the address "
            "behind the command (uri=... with replay, else trackers.mlflow.uri=...).",
        )


def _is_left(file: Path) -> bool:
    """Whether a file lies where studies and runs leave theirs."""
    folder = file.resolve().parent
    of_a_run = file.name == "config.yaml" and (folder / "checkpoints").exists()
    return of_a_run or any(
        StudyFolder(above).settings.exists() and StudyFolder(above).trials.exists()
        for above in [folder, *list(folder.parents)[:3]]
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
        expected=EXPECTED,
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
