"""`tunewright dashboard`: optuna-dashboard on a study, to look at and not to change.

The database is opened read-only where it is a SQLite file, and whatever the page asks to change
is refused, so that a running study is neither locked nor hurt.
"""

import importlib
import webbrowser
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from tunewright.errors import ConfigError, UsageError
from tunewright.runs.sqlite_url import sqlite_file, sqlite_url
from tunewright.search.read_study import locate
from tunewright.search.storage.database import silence_optuna

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def dashboard(
    study: Path | str | None = None,
    *,
    storage: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    open_browser: bool = False,
    runs: Path = Path("runs"),
    on_address: Callable[[str], None] = print,
) -> None:
    """Serve the dashboard of a study until KeyboardInterrupt.

    study: as for `search.look.look`. on_address: called with the address once it is bound. port: 0
    takes a free one. Raises ConfigError when optuna-dashboard is not installed, UsageError
    when the port is taken.
    """
    url = locate(None if study is None else str(study), storage=storage, runs=runs).url
    try:
        package = importlib.import_module("optuna_dashboard")
    except ImportError as error:
        raise ConfigError(
            f"optuna-dashboard cannot be imported ({error})",
            remedy="pip install 'tunewright[dashboard]'",
        ) from None
    silence_optuna()
    application = reading_only(package.wsgi(read_only_url(url)))
    try:
        server = make_server(host, port, application, _Threads, _Quiet)
    except OSError as error:
        raise UsageError(
            f"port {port} on {host} cannot be used ({error.strerror})",
            remedy=f"Try another one: --port {port + 1}.",
        ) from None
    address = f"http://{host}:{server.server_port}/"
    on_address(address)
    if open_browser:
        webbrowser.open(address)
    with server:
        server.serve_forever()


def read_only_url(url: str) -> str:
    """The URL through which SQLite opens its file to read; other databases as they are."""
    file = sqlite_file(url)
    return url if file is None else sqlite_url(file, mode="ro")


def reading_only(application: Application) -> Application:
    """`application` without the requests that change something."""

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return application(environ, start)
        start("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"reason": "tunewright dashboard only shows a study"}']

    return answer


class _Threads(ThreadingMixIn, WSGIServer):
    """A page asks for several things at once."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """No line a request."""
