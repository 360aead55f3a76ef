"""A server that only a stored file names is named in an error, and never spoken to."""

import re
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from practice.quadratic.studies import tuned

import tunewright
from tunewright.errors import StudyError, TunewrightError
from tunewright.runs.sqlite_url import sqlite_url
from tunewright.search.storage.trusted_servers import VARIABLE, own_url, refuse_tracker

SECRET = "my-secret"
WHERE = Path("runs/theirs/study.yaml")
FAST = ("quadratic", "executor.type=inline", "study.final=false")


class Stranger:
    """A server that asks whoever connects for a password in plain text, and keeps it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(5.0)
                try:
                    self._talk(client)
                except OSError:
                    continue

    def _talk(self, client: socket.socket) -> None:
        self.heard.append(client.recv(1000))
        client.sendall(b"N")  # no encryption; then its real greeting
        self.heard.append(client.recv(1000))
        client.sendall(b"R" + struct.pack(">II", 8, 3))
        self.heard.append(client.recv(1000))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10.0)


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    made = Stranger()
    yield made
    made.close()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tuned(tmp_path_factory.mktemp("runs"), "study.trials=2").folder.path


@pytest.fixture
def sent(tmp_path: Path, study: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A study's folder that somebody sent, whose study.yaml names a storage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PGPASSWORD", SECRET)
    monkeypatch.setenv("MYSQL_PWD", SECRET)
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / ".pgpass").write_text(f"*:*:*:*:{SECRET}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / ".pgpass"))

    def make(storage: str) -> Path:
        shutil.copytree(study, tmp_path / "runs/theirs")
        file = tmp_path / "runs/theirs/study.yaml"
        file.write_text(file.read_text().replace("storage: null", f"storage: {storage}", 1))
        return Path("runs/theirs")

    return make


OPENING: dict[str, Callable[[Path], object]] = {
    "analyze": lambda folder: tunewright.analyze(folder),
    "analyze by name": lambda folder: tunewright.analyze(folder.name),
    "repair": lambda folder: tunewright.repair(folder),
    "dashboard": lambda folder: tunewright.dashboard(folder, port=0),
    "from": lambda folder: tunewright.tune(*FAST, name="new", trials=2, from_=folder),
    "from alone": lambda folder: tunewright.tune(name="new", trials=2, from_=folder.name),
    "plan": lambda folder: tunewright.plan(*FAST, name="new", trials=2, from_=folder),
}
URLS = (
    "postgresql://bob@127.0.0.1:{port}/x",
    "postgresql://bob:theirs@127.0.0.1:{port}/x",
    "postgresql+psycopg://127.0.0.1:{port}/x?sslmode=disable",
    "postgresql://bob@/x?host=127.0.0.1&port={port}",
    "mysql+pymysql://bob@127.0.0.1:{port}/x",
)


@pytest.mark.parametrize("opening", OPENING)
def test_every_command_that_opens_a_study_refuses(
    sent: Callable[[str], Path], stranger: Stranger, opening: str
) -> None:
    folder = sent(URLS[0].format(port=stranger.port))
    with pytest.raises(StudyError, match=rf"127\.0\.0\.1:{stranger.port}") as caught:
        OPENING[opening](folder)
    said = str(caught.value)
    assert "study.yaml" in said
    assert "--storage postgresql://bob@" in said
    assert f"{VARIABLE}=postgresql://bob@" in said
    assert stranger.heard == []


@pytest.mark.parametrize("url", URLS)
def test_however_the_server_is_written(
    sent: Callable[[str], Path], stranger: Stranger, url: str
) -> None:
    folder = sent(url.format(port=stranger.port))
    for opened in (tunewright.analyze, tunewright.repair):
        with pytest.raises(StudyError, match=r"127\.0\.0\.1.*nothing was sent") as caught:
            opened(folder)
        assert "theirs@" not in str(caught.value)
    assert stranger.heard == []


def test_a_server_that_was_typed_is_spoken_to(
    sent: Callable[[str], Path], stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg")
    url = URLS[0].format(port=stranger.port)
    folder = sent(url)
    with pytest.raises(StudyError, match="does not answer"):
        tunewright.analyze(folder, storage=url)
    assert any(SECRET.encode() in heard for heard in stranger.heard)
    stranger.heard.clear()
    monkeypatch.setenv(VARIABLE, f"postgresql://elsewhere/y {url}")
    with pytest.raises(StudyError, match="does not answer"):
        tunewright.analyze(folder)
    assert any(SECRET.encode() in heard for heard in stranger.heard)


def test_the_folder_can_be_opened_without_its_server(sent: Callable[[str], Path]) -> None:
    folder = sent("postgresql://bob@192.0.2.1/x")
    (folder / "study.db").unlink()
    with pytest.raises(StudyError, match="tunewright repair") as caught:
        tunewright.analyze(folder)
    [storage] = re.findall(r"tunewright repair \S+ --storage (\S+),", str(caught.value))
    assert tunewright.repair(folder, storage=storage).added == (0, 1)
    assert tunewright.analyze(folder, storage=storage).overview.trials == 2


def test_a_new_study_that_names_the_server_itself_may_start_from_it(
    sent: Callable[[str], Path], stranger: Stranger
) -> None:
    pytest.importorskip("psycopg")
    url = URLS[0].format(port=stranger.port)
    with pytest.raises(StudyError, match="does not answer"):
        tunewright.tune(*FAST, name="new", trials=2, from_=sent(url), storage=url)
    assert stranger.heard


class TestOwnUrl:
    STORED = "postgresql://bob@host:5432/name?sslmode=require"

    @pytest.mark.parametrize(
        "given",
        [
            STORED,
            "postgresql://me:secret@host:5432/name?sslmode=require",
            "postgres://HOST:5432/name?sslmode=require",
            "postgresql+psycopg2://me@host:5432/name?sslmode=require&password=secret",
        ],
    )
    def test_the_given_url_of_the_same_database_is_taken(self, given: str) -> None:
        assert own_url(self.STORED, WHERE, [None, "sqlite:///a.db", given]) == given

    @pytest.mark.parametrize(
        "given",
        [
            "postgresql://bob@other:5432/name?sslmode=require",
            "postgresql://bob@host:5433/name?sslmode=require",
            "postgresql://bob@host:5432/other?sslmode=require",
            "postgresql://bob@host:5432/name",
            "mysql://bob@host:5432/name?sslmode=require",
            "host",
        ],
    )
    def test_another_one_is_not(self, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, given)
        with pytest.raises(StudyError, match=r"host:5432, which only .*study.yaml names"):
            own_url(self.STORED, WHERE, [given])

    @pytest.mark.parametrize("option", ["hostaddr=6.6.6.6", "host=evil", "service=evil"])
    def test_an_option_that_leads_elsewhere_is_another_server(self, option: str) -> None:
        with pytest.raises(StudyError, match="nothing was sent"):
            own_url(f"postgresql://host/name?{option}", WHERE, ["postgresql://host/name"])

    @pytest.mark.parametrize(
        "stored", ["nonsense", "postgresql://host:port/x", "[1, 2]", "redis://h"]
    )
    def test_what_is_no_file_is_refused(self, stored: str) -> None:
        with pytest.raises(StudyError, match="nothing was sent"):
            own_url(stored, WHERE)

    def test_a_file_is_opened_as_it_is_named(self, tmp_path: Path) -> None:
        url = sqlite_url(tmp_path / "50%?.db")
        assert own_url(url, WHERE) == url


class TestConfigurations:
    """`tune FILE`: a file of one's own may name a server; one that a study left may not."""

    def files(self, sent: Callable[[str], Path], port: int) -> tuple[Path, Path]:
        left = sent("null") / "best_config.yaml"
        left.write_text(f"{left.read_text()}\nstudy: {{storage: '{URLS[0].format(port=port)}'}}\n")
        own = Path("study.yaml")  # as people call their own files, beside folders of their own
        Path("checkpoints").mkdir()
        own.write_text(left.read_text())
        return left, own

    def test_one_that_a_study_left(self, sent: Callable[[str], Path], stranger: Stranger) -> None:
        left, _ = self.files(sent, stranger.port)
        with pytest.raises(StudyError, match=rf":{stranger.port}, which only .*best_config"):
            tunewright.tune(str(left), "executor.type=inline", name="new", trials=2)
        assert stranger.heard == []

    def test_one_of_the_users_own(self, sent: Callable[[str], Path], stranger: Stranger) -> None:
        pytest.importorskip("psycopg")
        left, own = self.files(sent, stranger.port)
        stranger.heard.clear()
        with pytest.raises(StudyError, match="does not answer"):
            tunewright.tune(str(own), "executor.type=inline", name="new", trials=2)
        typed = URLS[0].format(port=stranger.port)
        with pytest.raises(StudyError, match="does not answer"):
            tunewright.tune(str(left), "executor.type=inline", name="new", trials=2, storage=typed)


class TestTrackers:
    @pytest.mark.parametrize(
        "uri", ["http://evil:5000", "postgresql://bob@evil/x", "https://evil", "databricks://evil"]
    )
    def test_a_server_is_refused_unless_the_environment_names_it(
        self, uri: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with pytest.raises(StudyError, match=r"evil.*MLFLOW_TRACKING_URI"):
            refuse_tracker(uri, WHERE)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        refuse_tracker(uri, WHERE)

    @pytest.mark.parametrize("uri", [None, "mlruns", "file:///data/mlruns", "sqlite:///a.db"])
    def test_files_are_no_servers(self, uri: str | None) -> None:
        refuse_tracker(uri, WHERE)

    def test_a_configuration_that_a_run_left(
        self, sent: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tunewright.search.stages.require", lambda names: None)
        file = sent("null") / "best_config.yaml"
        tracker = "mlflow: {uri: http://evil:5000, experiment: null}"
        file.write_text(re.sub("mlflow: null", tracker, file.read_text()))
        with pytest.raises(TunewrightError, match=r"http://evil:5000, which only .*best_config"):
            tunewright.train(str(file), "training.epochs=2")
