"""SQLite URLs: the URL of a file, and the file of a URL.

SQLAlchemy writes and parses them, so that a name may hold whatever a file system allows: `?`, `%`
and `#` have a meaning in a URL. It is imported late, so that code without a database does not need
it.
"""

import os
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

DRIVERS = ("sqlite", "sqlite+pysqlite")
"""The schemes for which Python's own module opens the file."""
TRUE = ("true", "yes", "on", "y", "t", "1")
"""Values that switch on an option of a URL, as SQLAlchemy parses them."""


def sqlite_url(file: Path, **options: str | tuple[str, ...]) -> str:
    """Return the URL of a SQLite file, as `optuna.load_study` takes it.

    options: of SQLite's own URIs, such as `mode="ro"`. A name that is no text (bytes that are not
    UTF-8) is spelled by such a URI as well.
    """
    from sqlalchemy import URL

    database = str(file)
    if options or not is_text(database):
        database, options = sqlite_uri(file), {**options, "uri": "true"}
    url = URL.create("sqlite", database=database, query=options)
    return url.render_as_string(hide_password=False)


def sqlite_uri(file: Path) -> str:
    """Return the file as a SQLite URI, to which options may be added after a `?`."""
    return f"file:{'//' if file.is_absolute() else ''}{quote(os.fsencode(file))}"


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite URL; None for other databases and for one in memory."""
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
    """Return whether a name can be stored and shown; bytes that are not UTF-8 cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
