"""`tunewright dashboard`: optuna-dashboard for a study, read-only.

A SQLite file is opened read-only, and requests that would change the study are refused, so that
a running study is neither locked nor altered.
"""

import errno
import importlib
import shlex
import socket
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
from tunewright.search.storage.journal import journal_file

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def dashboard(
    study: Path | str | None = None,
    *,
    storage: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    open_browser: bool = False,
    runs: Path = Path("runs"),
    on_address: Callable[[str], None] | None = None,
) -> None:
    """Serve the dashboard of a study until Ctrl-C, which is no error once the server listens.

    study: as for `search.read_study.read_study`. on_address: called with the address then; None
    prints it. port: 0 picks a free one. Raises ConfigError when optuna-dashboard is not
    installed, UsageError when the port is taken, or the address is not one of this machine.
    """
    url = locate(None if study is None else str(study), storage=storage, runs=runs).url
    if (journal := journal_file(url)) is not None:
        raise UsageError(
            f"{journal} is a journal file",
            expected="a database",
            remedy=f"tunewright report {shlex.quote(str(journal))} writes its charts; "
            f"optuna-dashboard {shlex.quote(str(journal))}, from tunewright[dashboard], shows it.",
        )
    try:
        package = importlib.import_module("optuna_dashboard")
    except ImportError as error:
        raise ConfigError(
            f"optuna-dashboard cannot be imported ({error})",
            remedy="pip install 'tunewright[dashboard]'",
        ) from None
    silence_optuna()
    application = read_only(package.wsgi(read_only_url(url)))
    try:
        server = make_server(host, port, application, _Threads, _Quiet)
    except OSError as error:
        elsewhere = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        raise UsageError(
            f"port {port} on {host} cannot be used ({error.strerror})",
            remedy="Listen on an address of this machine: --host 127.0.0.1."
            if elsewhere
            else "Let it pick a free one: --port 0.",
        ) from None
    address = f"http://{host}:{server.server_port}/"
    try:
        with server:
            (on_address or _print_address)(address)
            if open_browser:
                webbrowser.open(address)
            server.serve_forever()
    except KeyboardInterrupt:
        print("dashboard stopped")


def _print_address(address: str) -> None:
    print(f"optuna-dashboard: {address}  (press Ctrl-C to stop)", flush=True)


def read_only_url(url: str) -> str:
    """Return a URL that opens a SQLite file read-only; other URLs unchanged."""
    file = sqlite_file(url)
    return url if file is None else sqlite_url(file, mode="ro")


def read_only(application: Application) -> Application:
    """Wrap `application` so that requests that would change something are refused."""

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return application(environ, start)
        start("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"reason": "tunewright dashboard only shows a study"}']

    return answer


class _Threads(ThreadingMixIn, WSGIServer):
    """Answers several requests at once: a page sends them in parallel."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Log nothing: there would be a line per request."""
