"""Database URLs: their meaning, the driver they need, and the parts that may be shown."""

import importlib
import re
from pathlib import Path
from urllib.parse import unquote_plus

from sqlalchemy import make_url

from tunewright.errors import StudyError
from tunewright.runs.sqlite_url import sqlite_file, sqlite_url
from tunewright.search.storage.journal import is_journal, journal_file, journal_url

DRIVERS = ("psycopg", "psycopg2")
"""Drivers for PostgreSQL, the preferred one first."""
SECRET = ("password", "sslpassword")
"""URL options that must not be shown."""
_ADDRESS = re.compile(
    r"""(?P<url> [^:/?#]*://
         (?: [^:/?#@]* (?: :(?!\d*[/?#]) [^@]* )? @ )?  # a port is no password, which may hold a #
         [^#]* )
        (?: \#(?P<name> .*) )?""",
    re.DOTALL | re.VERBOSE,
)


def absolute_url(url: str) -> str:
    """Return the URL with the absolute path of a SQLite file, valid from any working directory."""
    file = sqlite_file(url)
    if file is None:
        return url
    parsed = make_url(url)
    if parsed.query and "uri" not in parsed.query:  # options of the driver, not of SQLite
        return parsed.set(database=str(_absolute(file))).render_as_string(hide_password=False)
    options = {key: value for key, value in parsed.query.items() if key != "uri"}
    return sqlite_url(_absolute(file), **options)


def url_of(storage: str) -> str:
    """Return the absolute URL of a storage: a URL, the path of a SQLite file or of a journal."""
    journal = journal_file(storage)
    if journal is not None:
        return journal_url(_absolute(journal))
    if "://" in storage:
        return absolute_url(storage)
    file = _absolute(Path(storage))
    return journal_url(file) if is_journal(file) else sqlite_url(file)


def _absolute(file: Path) -> Path:
    try:
        return file.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself, before Python 3.13
        raise StudyError(
            f"{file} cannot be looked up ({error})", remedy="Name another place."
        ) from None


def url_and_name(address: str) -> tuple[str, str | None]:
    """Split an address into its URL and the study named after `#`.

    An existing file whose own name holds a `#` is taken as the file.
    """
    file = sqlite_file(address)
    found = None if file is not None and file.exists() else _ADDRESS.fullmatch(address)
    return (found["url"], found["name"] or None) if found else (address, None)


def without_password(address: str) -> str:
    """Return the address without its password, as it may be stored and shown."""
    url, name = url_and_name(address)
    scheme, colon, rest = url.partition("://")
    if not colon or sqlite_file(url) is not None or journal_file(url) is not None:
        return address
    # Up to the last @, since an unencoded password may contain one.
    rest = re.sub(r"^([^:/@?]*):.*@", r"\1@", rest, flags=re.DOTALL)
    place, question, options = rest.partition("?")
    kept = [
        part for part in options.split("&") if unquote_plus(part.partition("=")[0]) not in SECRET
    ]
    shown = f"{scheme}://{place}" + (question + "&".join(kept) if any(kept) else "")
    return shown if name is None else f"{shown}#{name}"


def with_driver(url: str) -> str:
    """Return a `postgresql://` URL with the installed driver; other URLs unchanged.

    Raises StudyError, with the extra to install, where no driver is installed.
    """
    scheme, colon, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres") or not colon:
        return url
    for driver in DRIVERS:
        try:
            importlib.import_module(driver)
        except ImportError:  # also if its own library is missing
            continue
        return f"postgresql+{driver}://{rest}"
    raise StudyError(
        f"the storage {without_password(url)} needs a driver for PostgreSQL, but none is installed",
        expected=" or ".join(DRIVERS),
        remedy="pip install 'tunewright[postgresql]'.",
    )
