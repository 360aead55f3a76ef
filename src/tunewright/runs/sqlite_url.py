"""Addresses of SQLite files: the URL of a file, and the file that a URL means.

SQLAlchemy writes and reads them, so that a name may hold whatever a file system takes: `?`, `%`
and `#` mean something in a URL. It is imported late: what asks for no database needs none.
"""

import os
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

DRIVERS = ("sqlite", "sqlite+pysqlite")
"""What stands before `://` where Python's own module opens the file."""
TRUE = ("true", "yes", "on", "y", "t", "1")
"""How an option of a URL is switched on, in SQLAlchemy's words."""


def sqlite_url(file: Path, **options: str | tuple[str, ...]) -> str:
    """The URL of a SQLite file, as `optuna.load_study` takes it.

    options: of SQLite's own URIs, such as `mode="ro"`. A name that is no text (bytes that are
    not UTF-8) is spelled by such a URI as well.
    """
    from sqlalchemy import URL

    database = str(file)
    if options or not is_text(database):
        database, options = sqlite_uri(file), {**options, "uri": "true"}
    url = URL.create("sqlite", database=database, query=options)
    return url.render_as_string(hide_password=False)


def sqlite_uri(file: Path) -> str:
    """The file as SQLite's own URIs spell it, to which options may be added behind a `?`."""
    return f"file:{'//' if file.is_absolute() else ''}{quote(os.fsencode(file))}"


def sqlite_file(url: str) -> Path | None:
    """The file behind a SQLite URL; None for other databases and for one in memory."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    if not url.startswith("sqlite"):
        return None
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None
    path = parsed.database or ""
    if parsed.drivername not in DRIVERS or parsed.host or path in ("", ":memory:"):
        return None
    if path.startswith("file:") and str(parsed.query.get("uri", "")).lower() in TRUE:
        if parsed.query.get("mode") == "memory":
            return None
        plain = path.removeprefix("file:")
        if plain.startswith("//"):
            plain = f"/{plain[2:].partition('/')[2]}"  # without the host, which is this one
        name = os.fsdecode(unquote_to_bytes(plain.partition("?")[0].partition("#")[0]))
        return Path(name) if name not in ("", ":memory:") else None
    return Path(path)


def is_text(name: str) -> bool:
    """Whether a name can be stored and shown: one of bytes that are not UTF-8 cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
