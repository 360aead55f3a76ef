"""optuna-dashboard on a study: what it shows, what it refuses, how it ends."""

import json
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from wsgiref.simple_server import WSGIServer

import pytest
from optuna import create_study
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from practice.quadratic.studies import tuned
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from tunewright.deliver.dashboard import dashboard, read_only, read_only_url
from tunewright.errors import ConfigError, StudyError, UsageError
from tunewright.runs.sqlite_url import sqlite_url

installed = pytest.mark.skipif(
    find_spec("optuna_dashboard") is None, reason="optuna-dashboard is not installed"
)


def test_a_study_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study 'nothing'"):
        dashboard("nothing", runs=tmp_path)


def test_without_the_package_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned(tmp_path, "study.trials=1")
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'tunewright\[dashboard\]'"):
        dashboard("study", runs=tmp_path)


def test_a_database_file_is_opened_to_read(tmp_path: Path) -> None:
    file = tmp_path / "my 50% study? #1.db"
    sqlite3.connect(file).close()
    url = read_only_url(sqlite_url(file))
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.exec_driver_sql("CREATE TABLE t (x)")
    engine.dispose()
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert read_only_url("postgresql://host/db") == "postgresql://host/db"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_what_would_change_something_is_refused(method: str) -> None:
    answers: list[str] = []
    asked = read_only(lambda _environ, start: [start("200 OK", []) or b"page"])
    asked({"REQUEST_METHOD": method}, lambda status, _headers: answers.append(status))
    asked({"REQUEST_METHOD": "GET"}, lambda status, _headers: answers.append(status))
    assert answers == ["403 Forbidden", "200 OK"]


def test_ctrl_c_ends_it_without_an_error_once_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_server: WSGIServer) -> None:
        raise KeyboardInterrupt

    tuned(tmp_path, "study.trials=1")
    monkeypatch.setitem(sys.modules, "optuna_dashboard", SimpleNamespace(wsgi=lambda _url: None))
    monkeypatch.setattr(WSGIServer, "serve_forever", interrupted)
    capsys.readouterr()
    dashboard("study", runs=tmp_path, port=0)
    address, end = capsys.readouterr().out.splitlines()
    assert address.startswith("optuna-dashboard: http://127.0.0.1:")
    assert end == "dashboard stopped"
    heard: list[str] = []
    dashboard("study", runs=tmp_path, port=0, on_address=heard.append)
    assert [url.startswith("http://127.0.0.1:") for url in heard] == [True]
    monkeypatch.setitem(sys.modules, "optuna_dashboard", SimpleNamespace(wsgi=interrupted))
    with pytest.raises(KeyboardInterrupt):
        dashboard("study", runs=tmp_path, port=0)


@installed
@pytest.mark.slow
def test_it_shows_a_study_until_ctrl_c(tmp_path: Path) -> None:
    tuned(tmp_path, "study.trials=3")
    before = (tmp_path / "study/study.db").read_bytes()
    words = ["dashboard", "study", "--runs-dir", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tunewright", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline().split()[1]
    with urllib.request.urlopen(f"{address}api/studies") as page:
        [study] = json.load(page)["study_summaries"]
    assert study["study_name"] == "study"
    with urllib.request.urlopen(f"{address}api/studies/{study['study_id']}") as page:
        assert len(json.load(page)["trials"]) == 3
    delete = urllib.request.Request(f"{address}api/studies/{study['study_id']}", method="DELETE")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(delete)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, "dashboard stopped\n")
    assert (tmp_path / "study/study.db").read_bytes() == before


@installed
@pytest.mark.slow
def test_what_is_advised_for_a_journal_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "study.log"
    storage = JournalStorage(JournalFileBackend(str(file)))
    create_study(storage=storage, study_name="theirs").ask()
    with pytest.raises(UsageError, match="optuna-dashboard") as refused:
        dashboard(file)
    [_, words] = refused.value.remedy.split("; optuna-dashboard ")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    command = "from optuna_dashboard._cli import main; main()"
    words = [*shlex.split(words.partition(", from")[0]), "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-c", command, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    with process:
        try:
            while b"Listening" not in (line := process.stdout.readline()):
                assert line, "the dashboard has ended"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies") as page:
                [study] = json.load(page)["study_summaries"]
        finally:
            process.kill()
    assert study["study_name"] == "theirs"
