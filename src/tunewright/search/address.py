"""Addresses of databases: what a URL means, which driver it needs, what of it may be shown."""

import importlib
import re
from pathlib import Path

from tunewright.errors import StudyError

DRIVERS = ("psycopg", "psycopg2")
"""For PostgreSQL, the better one first."""
SECRET = ("password", "sslpassword")
"""Options of a URL that are nobody else's business."""


def absolute_url(url: str) -> str:
    """The URL with a SQLite file's whole path, so that it means the same from everywhere."""
    file = sqlite_file(url)
    if file is None:
        return url
    _, question, options = url.partition("?")
    return f"sqlite:///{file.resolve()}{question}{options}"


def sqlite_file(url: str) -> Path | None:
    """The file behind a SQLite URL; None for other databases and for one in memory."""
    path = url.removeprefix("sqlite:///").partition("?")[0]
    return Path(path) if url.startswith("sqlite:///") and path not in ("", ":memory:") else None


def without_password(url: str) -> str:
    """The URL as it may be stored and shown: everything but the password."""
    scheme, colon, rest = url.partition("://")
    if not colon or scheme.startswith("sqlite"):
        return url
    # Up to the last @: a password that somebody forgot to encode may hold one.
    rest = re.sub(r"^([^:/@?]*):.*@", r"\1@", rest, flags=re.DOTALL)
    place, question, options = rest.partition("?")
    kept = [part for part in options.split("&") if part.partition("=")[0] not in SECRET]
    return f"{scheme}://{place}" + (question + "&".join(kept) if any(kept) else "")


def with_driver(url: str) -> str:
    """A `postgresql://` URL with the driver that is installed; others as they are.

    Raises StudyError, with the extra to install, where there is none.
    """
    scheme, colon, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres") or not colon:
        return url
    for driver in DRIVERS:
        try:
            importlib.import_module(driver)
        except ImportError:  # also where it is installed without the library that it needs
            continue
        return f"postgresql+{driver}://{rest}"
    raise StudyError(
        f"the storage {without_password(url)} needs a driver for PostgreSQL, and none is installed",
        expected=" or ".join(DRIVERS),
        remedy="pip install 'tunewright[postgresql]'.",
    )
