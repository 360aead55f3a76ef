"""The whole life of a study in a real PostgreSQL server, which goes away and comes back."""

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from practice.quadratic.studies import ended

import tunewright
from tunewright.config.study_schema import AshaConfig, TpeConfig
from tunewright.errors import StudyError
from tunewright.runs.atomic import read_yaml
from tunewright.runs.progress import read_progress
from tunewright.search.storage.database import (
    Settings,
    close_storage,
    open_storage,
    stored_settings,
)
from tunewright.search.storage.trusted_servers import VARIABLE
from tunewright.search.study.study import Study, load_record
from tunewright.spaces.domain import Float
from tunewright.spaces.space import Parameter, Space

pytestmark = pytest.mark.slow
pytest.importorskip("psycopg")

from postgres_server import Server, missing  # noqa: E402  (tests without a driver are skipped above)

MARK = "TUNEWRIGHT_TEST"
NO_PRUNING = "study.pruner.type=none"
SPACE = Space((Parameter("x", Float(0.0, 1.0), 0.5),))
SETTINGS = Settings(
    recipe="quadratic",
    goal="val_score",
    metric="val_score",
    direction="max",
    sampler=TpeConfig().model_dump(),
    pruner=AshaConfig().model_dump(),
    space={"parameters": {"x": {"type": "float"}}},
    configuration={},
    seed=7,
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if why := missing():
        pytest.skip(why)
    made = Server()
    yield made
    made.close()


class Shell:
    """Types `tunewright tune quadratic --storage postgresql://...` in a database of its own."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server
        self.database, self.mark = f"db{uuid.uuid4().hex}", uuid.uuid4().hex
        server.execute(f"CREATE DATABASE {self.database}")
        self.url = server.url(self.database)
        self.study = folder / "runs/study"

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tunewright", "tune", "quadratic", "--storage", self.url]
        return subprocess.Popen(
            [
                *command,
                "--name",
                "study",
                "--jobs",
                "2",
                "--runs-dir",
                "runs",
                "study.final=false",
                *words,
            ],
            cwd=self.folder,
            env={**os.environ, MARK: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, *words: str) -> str:
        process = self.start(*words)
        printed, _ = process.communicate(timeout=180)
        assert process.returncode == 0, printed
        return printed

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
            except psutil.Error:
                continue
        return [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.server.execute(query, self.database)

    def states(self) -> dict[int, str]:
        return dict(self.rows("SELECT number, state::text FROM trials"))

    def reported(self) -> set[tuple[int, int, float]]:
        return {
            (int(file.parent.name), p.step, p.metrics["val_score"])
            for file in self.study.glob("trials/*/progress.jsonl")
            for p in read_progress(file)
        }

    def stored(self) -> set[tuple[int, int, float]]:
        query = """SELECT number, step, intermediate_value FROM trial_intermediate_values
                   JOIN trials USING (trial_id)"""
        return set(self.rows(query))

    def epochs(self, number: int) -> int:
        return len(read_progress(self.study / f"trials/{number:05d}/progress.jsonl"))

    def whole(self, trials: int) -> None:
        """All that was reported is stored, every number once, and every folder has its trial."""
        numbers = [n for (n,) in self.rows("SELECT number FROM trials ORDER BY trial_id")]
        assert numbers == list(range(trials))
        assert set(self.states().values()) == {"COMPLETE"}
        assert self.reported() == self.stored()
        assert len(list((self.study / "trials").iterdir())) == trials


@pytest.fixture
def shell(tmp_path: Path, server: Server) -> Iterator[Shell]:
    made = Shell(tmp_path, server)
    yield made
    left = made.processes()
    for process in left:
        process.kill()
    assert left == [], "processes outlived their coordinator"
    gc.collect()  # a connection that nobody closed is told here, and not in a test to come


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class TestLife:
    def test_begun_stopped_killed_resumed_and_analyzed(self, shell: Shell) -> None:
        words = ["--trials", "8", "epoch_seconds=0.1", NO_PRUNING]
        process = shell.start(*words)
        until(lambda: shell.epochs(1) >= 2)
        os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == 130, printed
        begun = shell.stored()
        assert len(begun) >= 4
        process = shell.start(*words)
        until(lambda: shell.epochs(3) >= 2)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        until(lambda: not shell.processes(), seconds=15)
        reported = shell.reported()
        ended = {n for n, state in shell.states().items() if state == "COMPLETE"}
        assert ended
        shell.finish(*words)
        shell.whole(8)
        assert begun | reported <= shell.stored()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, shell.url)
            looked = tunewright.analyze(str(shell.study))
        assert looked.overview.by_state["done"] == 8
        storage = optuna.storages.RDBStorage(shell.url.replace("postgresql", "postgresql+psycopg"))
        theirs = optuna.load_study(study_name="study", storage=storage)
        assert theirs.best_value == looked.record.best.score  # type: ignore[union-attr]
        storage.remove_session()
        storage.engine.dispose()

    def test_a_second_coordinator_is_refused(self, shell: Shell) -> None:
        words = ["--trials", "2", "epoch_seconds=300", NO_PRUNING]  # longer than a start takes
        first = shell.start(*words)
        until(lambda: (shell.study / "trials/00000/progress.jsonl").exists(), seconds=120)
        second = shell.start(*words, "--runs-dir", "elsewhere")
        printed, _ = second.communicate(timeout=120)
        assert second.returncode == 2, printed
        assert f"is in use by process {first.pid}" in printed
        first.send_signal(signal.SIGKILL)
        first.communicate()
        until(lambda: not shell.processes(), seconds=15)

    def test_the_password_is_written_nowhere(
        self, shell: Shell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        printed = shell.finish("--trials", "2", NO_PRUNING)
        assert "secret" not in printed
        for file in shell.study.rglob("*"):
            assert not file.is_file() or b"secret" not in file.read_bytes(), file
        attributes = "SELECT value_json FROM study_user_attributes"
        assert "secret" not in str(shell.rows(attributes))
        plain = read_yaml(shell.study / "study.yaml")["storage"]
        assert plain == shell.server.url(shell.database, password=False)
        monkeypatch.delenv("PGPASSWORD", raising=False)
        monkeypatch.setenv(VARIABLE, plain)
        with pytest.raises(StudyError, match=r"password.*PGPASSWORD.*pgpass") as caught:
            tunewright.analyze(str(shell.study))
        assert "secret" not in str(caught.value)
        monkeypatch.delenv(VARIABLE)
        with pytest.raises(StudyError, match=rf"which only .*study\.yaml names.*{VARIABLE}"):
            tunewright.analyze(str(shell.study))
        shown = tunewright.analyze(str(shell.study), storage=shell.url)
        assert shown.folder is not None
        assert shown.overview.storage == plain
        monkeypatch.setenv("PGPASSWORD", "secret")
        monkeypatch.setenv(VARIABLE, plain)
        assert tunewright.analyze(str(shell.study)).overview.storage == plain
        shell.url = plain
        shell.finish("--trials", "3", NO_PRUNING)
        shell.whole(3)

    def test_a_look_makes_no_tables(self, shell: Shell) -> None:
        assert stored_settings(shell.url, "study") is None
        with pytest.raises(StudyError, match="expected one of none"):
            load_record(shell.url, "study")
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        assert shell.rows(tables) == []

    def test_by_socket_and_what_is_wrong_at_the_door(self, shell: Shell) -> None:
        by_socket = shell.server.socket_url(shell.database)
        close_storage(by_socket, open_storage(by_socket))
        nowhere = shell.url.replace(shell.database, "nosuchdatabase")
        with pytest.raises(StudyError, match='database "nosuchdatabase" does not exist'):
            open_storage(nowhere, seconds=60.0)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = probe.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(StudyError, match="refused"):
            open_storage(f"postgresql://tuner@127.0.0.1:{free}/name", seconds=60.0)
        assert time.monotonic() - began < 20.0, "a wrong address is not waited for"

    def test_repair_fills_a_server_from_the_folders(
        self, shell: Shell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGPASSWORD", "secret")
        monkeypatch.setenv(VARIABLE, shell.url)
        shell.finish("--trials", "3", NO_PRUNING)
        before = [(t.parameters, t.curve, t.score) for t in load_record(shell.url, None)[0].trials]
        storage = open_storage(shell.url)
        optuna.delete_study(study_name="study", storage=storage)
        close_storage(shell.url, storage)
        process = shell.start("--trials", "3", NO_PRUNING)
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "tunewright repair" in printed
        assert tunewright.repair(str(shell.study)).added == (0, 1, 2)
        record, _ = load_record(shell.url, None)
        assert [(t.parameters, t.curve, t.score) for t in record.trials] == before
        assert tunewright.repair(str(shell.study)).added == ()
        shell.finish("--trials", "4", NO_PRUNING)


class TestAway:
    @pytest.mark.parametrize("seconds", [0.0, 6.0])
    def test_a_server_that_comes_back_is_waited_for(self, shell: Shell, seconds: float) -> None:
        process = shell.start("--trials", "6", "epoch_seconds=0.2", NO_PRUNING)
        until(lambda: shell.epochs(1) >= 2)
        shell.server.stop()
        before = len(shell.reported())
        time.sleep(seconds)
        if seconds:
            assert len(shell.reported()) >= before + 8, "the running trials went on"
        shell.server.start()
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0, printed
        if seconds:  # one that is back at once may not have been missed
            assert "does not answer" in printed
            assert "answers again" in printed
        assert "Traceback" not in printed
        shell.whole(6)
        starts = [
            line
            for file in shell.study.glob("trials/*/progress.jsonl")
            for line in file.read_text().splitlines()
            if "resumed_from" in line
        ]
        assert len(starts) == 6, "no trial was started twice"

    def test_a_server_that_stays_away_ends_the_session_and_loses_nothing(
        self, shell: Shell
    ) -> None:
        words = ["--trials", "6", "epoch_seconds=0.2", NO_PRUNING]
        process = shell.start(*words, "study.outage_seconds=3")
        until(lambda: shell.epochs(1) >= 2)
        shell.server.stop()
        try:
            printed, _ = process.communicate(timeout=90)
        finally:
            shell.server.start()
        assert process.returncode == 1, printed
        assert "Traceback" not in printed
        assert "same command again" in " ".join(printed.split())
        until(lambda: not shell.processes(), seconds=15)
        outcomes = [
            json.loads(file.read_text())["state"]
            for file in shell.study.glob("trials/*/outcome.json")
        ]
        assert "failed" not in outcomes
        reported = shell.reported()
        shell.finish(*words)
        shell.whole(6)
        assert reported <= shell.stored()

    def test_a_server_that_may_only_be_read_ends_the_session_as_failed_work(
        self, shell: Shell
    ) -> None:
        words = ["--trials", "4", "epoch_seconds=0.2", NO_PRUNING]
        process = shell.start(*words, "study.outage_seconds=2")
        until(lambda: shell.epochs(1) >= 2)
        shell.server.execute(
            f"ALTER DATABASE {shell.database} SET default_transaction_read_only = on"
        )
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
        shell.server.execute(f"{cut}'{shell.database}'")
        printed, _ = process.communicate(timeout=90)
        assert process.returncode == 1, printed
        assert "Make it writable" in " ".join(printed.split())
        shell.server.execute(f"ALTER DATABASE {shell.database} RESET default_transaction_read_only")
        shell.finish(*words)
        shell.whole(4)


class Wire:
    """Passes everything between a client and the server on, and can swallow an answer."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.armed, self.cut = False, 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._pass, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _pass(self, client: socket.socket) -> None:
        committing = False
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        return
                    if end is client and self.armed and b"COMMIT" in data:
                        committing = True
                    if end is server and committing:
                        self.armed, self.cut = False, self.cut + 1
                        return  # the server has committed, and nobody hears of it
                    (server if end is client else client).sendall(data)


@pytest.mark.parametrize("what", ["ask", "report", "tell"])
def test_a_commit_whose_answer_is_lost_is_not_done_twice(shell: Shell, what: str) -> None:
    wire = Wire(shell.server.port)
    notices: list[str] = []
    url = shell.url.replace(f":{shell.server.port}/", f":{wire.port}/") + "?sslmode=disable"
    study = Study(url, "study", SETTINGS, SPACE, outage_seconds=20.0, on_notice=notices.append)
    number, _ = study.ask()
    wire.armed = True
    match what:
        case "ask":
            assert study.ask()[0] == 1
        case "report":
            study.report(number, 1, 0.25)
        case "tell":
            study.tell(ended(number, "done", 0.5))
    assert wire.cut == 1
    assert "does not answer" in notices[0]
    study.close()
    wire.close()
    record, _ = load_record(shell.url, "study")
    assert len(record.trials) == (2 if what == "ask" else 1)
    assert record.trials[0].curve == ({1: 0.25} if what == "report" else {})
    assert record.trials[0].score == (0.5 if what == "tell" else None)
