"""Which database servers to connect to: those that the user names, never one from a file.

A driver sends a host whatever credentials it finds: PGPASSWORD, ~/.pgpass, a service file,
certificates, a Kerberos ticket, the user's own name. A study's folder may come from anybody. So no
connection is made with a server's URL that was read from one; the URL only selects among those that
the user gave.
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
    "a server that you name yourself, since a file may come from anybody and your "
    "password must not be sent to any host it names"
)


def own_url(stored: str, where: Path, given: Iterable[str | None] = ()) -> str:
    """Return the URL by which to open a database that a stored file names.

    A SQLite file is opened as it is named. For a server, the matching URL among `given`, which were
    typed, and those of TUNEWRIGHT_STORAGE is returned, with its own user and password. where: the
    stored file. Raises StudyError when there is none.
    """
    if sqlite_file(stored) is not None:
        return absolute_url(stored)
    wanted = _database(stored)
    for url in [*given, *os.environ.get(VARIABLE, "").split()]:
        if url and wanted is not None and _database(url) == wanted:
            return url
    raise _not_named(stored, where)


def refuse_stored_servers(composed: Composition) -> None:
    """Refuse servers that are set only by a file in a study's or a run's folder, as `own_url` does.

    The user's own configuration file may name a storage and a tracker's server.
    """
    config, sources = composed.config, composed.sources
    storage, file = config.study.storage, source_of(sources, "study.storage").file
    if (
        storage is not None
        and file is not None
        and is_run_file(file)
        and sqlite_file(storage) is None
    ):
        own_url(storage, file)
    tracker, file = config.trackers.mlflow, source_of(sources, "trackers.mlflow.uri").file
    if tracker is not None and file is not None and is_run_file(file):
        refuse_tracker(tracker.uri, file)


def refuse_tracker(uri: str | None, where: Path) -> None:
    """Raise StudyError for an MLflow server or database that only the file `where` names."""
    named = os.environ.get(TRACKING)
    if uri is None or "://" not in uri or uri.startswith("file:") or uri == named:
        return
    if sqlite_file(uri) is None:
        shown = shlex.quote(without_password(uri))
        raise StudyError(
            f"copies for MLflow would be sent to {shown}, which only {where} names; nothing "
            "was sent",
            expected=EXPECTED,
            remedy=(
                f"If the server is yours: export {TRACKING}={shown}, or pass the address to the "
                "command (uri=... with replay, else trackers.mlflow.uri=...)."
            ),
        )


def is_run_file(file: Path) -> bool:
    """Return whether a file lies where studies and runs write theirs."""
    folder = file.resolve().parent
    of_a_run = file.name == "config.yaml" and (folder / "checkpoints").exists()
    return of_a_run or any(
        StudyFolder(above).settings.exists() and StudyFolder(above).trials.exists()
        for above in [folder, *list(folder.parents)[:3]]
    )


def _database(url: str) -> tuple[object, ...] | None:
    """Return the server and database of a URL, without credentials; None if it is no URL."""
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
        f"the study is stored on a server, {_server(stored)}, which only {where} names; "
        "nothing was sent",
        expected=EXPECTED,
        remedy=(
            f"If the server is yours: pass --storage {typed}, or for every command export "
            f"{VARIABLE}={typed}. If it is not, rebuild the database from the run folders: "
            f"tunewright repair {shlex.quote(str(where.parent))} --storage "
            f"{shlex.quote(str(where.parent / 'study.db'))}, and pass that --storage afterwards."
        ),
    )


def _server(stored: str) -> str:
    try:
        parsed: URL | None = make_url(stored)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or not parsed.host:
        return without_password(stored)
    return parsed.host if parsed.port is None else f"{parsed.host}:{parsed.port}"
