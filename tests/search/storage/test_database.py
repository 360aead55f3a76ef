"""Where studies are stored: files that are whole, looks that write nothing, servers that go."""

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from practice.quadratic.studies import ended, rows, tuned
from shell_study import Shell, epochs_reported, until
from sqlalchemy import event

import tunewright
from tunewright.config.study_schema import AshaConfig, TpeConfig
from tunewright.errors import StorageLost, StudyError
from tunewright.search.storage import sqlite
from tunewright.search.storage.database import (
    Settings,
    close_storage,
    open_storage,
    storage_to_read,
    stored_settings,
)
from tunewright.search.storage.retrying_storage import RetryingStorage, rename_error
from tunewright.search.study import study as study_module
from tunewright.search.study.study import Study, load_record
from tunewright.search.study.trial_writer import MethodWriter
from tunewright.spaces.domain import Float
from tunewright.spaces.space import Parameter, Space

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


def opened(database: Path, told: Callable[[str], None] = lambda _text: None) -> Study:
    return Study(f"sqlite:///{database}", "study", SETTINGS, SPACE, on_notice=told)


def filled(database: Path) -> None:
    study = opened(database)
    for score in (0.1, 0.4, 0.2):
        number, _ = study.ask()
        study.report(number, 1, score)
        study.tell(ended(number, "done", score))
    study.close()


def beside(database: Path) -> list[str]:
    return sorted(file.name for file in database.parent.iterdir())


@pytest.fixture
def database(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    return folder / "study.db"


class TestFile:
    def test_it_is_written_ahead_and_is_one_ordinary_file_in_the_end(self, database: Path) -> None:
        study = opened(database)
        study.ask()
        assert rows(database, "PRAGMA journal_mode") == [("wal",)]
        assert "study.db-wal" in beside(database)
        study.close()
        assert beside(database) == ["study.db"]
        assert rows(database, "PRAGMA journal_mode") == [("delete",)]
        assert rows(database, "SELECT COUNT(*) FROM trials") == [(1,)]

    def test_a_tuned_study_leaves_one_file(
        self, tmp_path: Path, optuna_storage: Callable[[str], RDBStorage]
    ) -> None:
        tuned(tmp_path, "study.trials=3")
        assert sorted(f.name for f in (tmp_path / "study").glob("study.db*")) == ["study.db"]
        copy = tmp_path / "copy.db"
        shutil.copyfile(tmp_path / "study/study.db", copy)
        assert (
            len(
                optuna.load_study(
                    study_name="study", storage=optuna_storage(f"sqlite:///{copy}")
                ).trials
            )
            == 3
        )

    def test_another_program_that_reads_it_bars_neither_the_work_nor_the_end(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        filled(database)
        study = opened(database)
        number, _ = study.ask()
        other = sqlite3.connect(database)
        other.execute("BEGIN")
        assert other.execute("SELECT COUNT(*) FROM trials").fetchone() == (4,)
        study.tell(ended(number, "done", 0.9))
        assert other.execute("SELECT COUNT(*) FROM trial_values").fetchone() == (3,)
        monkeypatch.setattr(sqlite, "SWITCH_SECONDS", 0.1)
        study.close()
        other.close()
        assert rows(database, "SELECT COUNT(*) FROM trial_values") == [(4,)]
        filled(database)
        assert beside(database) == ["study.db"]

    def test_a_file_of_an_earlier_version_goes_on(self, database: Path) -> None:
        """Yesterday's study: a rollback journal, written by Optuna's own storage."""
        storage = RDBStorage(f"sqlite:///{database}")
        theirs = optuna.create_study(storage=storage, study_name="study", direction="maximize")
        theirs.enqueue_trial({"x": 0.25})
        theirs.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=2)
        storage.remove_session()
        storage.engine.dispose()
        study = opened(database)
        assert study.count == 2
        assert study.ask()[0] == 2
        study.close()

    def test_where_it_cannot_be_written_ahead_it_says_so_and_works(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite, "on_network", lambda _file: "nfs4")
        notices: list[str] = []
        study = opened(database, notices.append)
        number, _ = study.ask()
        study.tell(ended(number, "done", 0.5))
        assert rows(database, "PRAGMA journal_mode") == [("delete",)]
        study.close()
        [notice] = notices
        assert "nfs4 is a network file system" in notice
        assert "rollback journal" in notice

    def test_a_reader_that_bars_the_change_of_the_journal_is_not_waited_for_long(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        filled(database)
        monkeypatch.setattr(sqlite, "SWITCH_SECONDS", 0.1)
        other = sqlite3.connect(database)
        other.execute("BEGIN")
        other.execute("SELECT COUNT(*) FROM trials").fetchone()
        connection = sqlite3.connect(database)
        assert sqlite.set_journal(connection, "wal") == "delete"
        connection.close()
        other.close()

    def test_names_with_signs_that_mean_something_elsewhere(self, tmp_path: Path) -> None:
        database = tmp_path / "it's 50% {name} #1" / "study.db"
        filled(database)
        record, _ = load_record(f"sqlite:///{database}", None)
        assert len(record.trials) == 3

    @pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
    def test_a_network_file_system_is_known_by_its_mount(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        class Mount:
            def __init__(self, mountpoint: str, fstype: str) -> None:
                self.mountpoint, self.fstype = mountpoint, fstype

        mounts = [Mount("/", "ext4"), Mount(str(tmp_path), kind), Mount("/elsewhere", "xfs")]
        monkeypatch.setattr(sqlite.psutil, "disk_partitions", lambda all: mounts)
        assert sqlite.on_network(tmp_path / "a" / "study.db") == kind
        assert sqlite.on_network(Path("/elsewhere/study.db")) == ""


KILLED = """
import os, sys
from pathlib import Path
sys.path[:0] = {tests!r}
from test_database import opened
study = opened(Path({database!r}))
number, _ = study.ask()
for step in range(1, 51):
    study.report(number, step, step / 100)
    print(step, flush=True)
os.kill(os.getpid(), 9)
"""


def killed(database: Path) -> int:
    """A process that reports and is killed; the last step of which it knew."""
    tests = [str(folder) for folder in Path(__file__).parents[:2]]
    code = KILLED.format(tests=tests, database=str(database))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return int(done.stdout.split()[-1])


class TestKilled:
    def test_no_value_is_lost_and_a_look_leaves_the_files_as_they_were(
        self, database: Path
    ) -> None:
        last = killed(database)
        left = beside(database)
        assert "study.db-wal" in left, "it had no time to tidy up"
        record, _ = load_record(f"sqlite:///{database}", None)
        assert set(record.trials[0].curve) == set(range(1, last + 1))
        assert beside(database) == left
        study = opened(database)
        assert set(study.curves[0]) == set(range(1, last + 1))
        study.close()
        assert beside(database) == ["study.db"]


class TestLook:
    def test_it_leaves_nothing_behind_and_changes_nothing(self, database: Path) -> None:
        filled(database)
        before = database.read_bytes()
        url = f"sqlite:///{database}"
        assert len(load_record(url, None)[0].trials) == 3
        assert stored_settings(url, "study") is not None
        assert beside(database) == ["study.db"]
        assert database.read_bytes() == before

    def test_a_file_that_was_left_in_the_wal_mode_is_read_without_a_trace(
        self, database: Path
    ) -> None:
        filled(database)
        connection = sqlite3.connect(database)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
        assert beside(database) == ["study.db"]
        assert len(load_record(f"sqlite:///{database}", None)[0].trials) == 3
        assert beside(database) == ["study.db"]

    def test_while_it_runs(self, database: Path) -> None:
        study = opened(database)
        number, _ = study.ask()
        study.report(number, 1, 0.5)
        record, _ = load_record(f"sqlite:///{database}", None)
        assert record.trials[0].curve == {1: 0.5}
        study.close()

    @pytest.mark.slow
    def test_on_a_medium_that_cannot_be_written(self, tmp_path: Path, closed: Path) -> None:
        """At rest in either mode; killed in WAL mode, and copied then without its index."""
        for name in ("rollback", "ahead", "killed", "copied"):
            (closed / name).mkdir()
        for name in ("rollback", "ahead"):
            filled(closed / name / "study.db")
        connection = sqlite3.connect(closed / "ahead/study.db")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
        killed(closed / "killed/study.db")
        for side in ("", "-wal"):
            shutil.copyfile(closed / f"killed/study.db{side}", closed / f"copied/study.db{side}")
        filled(tmp_path / "other.db")
        for path in closed.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        user = 65534 if os.geteuid() == 0 else 0
        done = subprocess.run(
            [sys.executable, "-c", READ, str(closed), str(user), str(tmp_path / "other.db")],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        if not done.stdout:
            pytest.skip("this file system lets everybody write")
        assert json.loads(done.stdout) == {
            "rollback": [3, 3],
            "ahead": [3, 3],
            "killed": [1, 50],
            "copied": [1, 50],
        }

    def test_an_empty_file_and_a_foreign_database_hold_no_study(self, database: Path) -> None:
        url = f"sqlite:///{database}"
        database.touch()
        assert stored_settings(url, "study") is None
        assert database.read_bytes() == b""
        connection = sqlite3.connect(database)
        connection.execute("CREATE TABLE mine (x)")
        connection.close()
        assert stored_settings(url, "study") is None
        assert rows(database, "SELECT name FROM sqlite_master") == [("mine",)]
        with pytest.raises(StudyError, match="expected one of none"):
            load_record(url, None)

    def test_what_is_no_database_names_the_remedy(self, tmp_path: Path) -> None:
        tuned(tmp_path, "study.trials=2")
        (tmp_path / "study/study.db").write_text("not a database at all, but long enough\n" * 90)
        with pytest.raises(StudyError, match=r"not a database.*tunewright repair .*study"):
            tuned(tmp_path, "study.trials=2")
        with pytest.raises(StudyError, match=r"not a database.*tunewright repair .*study"):
            tunewright.analyze(str(tmp_path / "study"))

    def test_a_missing_database_beside_trials_names_the_remedy(self, tmp_path: Path) -> None:
        tuned(tmp_path, "study.trials=2")
        (tmp_path / "study/study.db").unlink()
        with pytest.raises(StudyError, match=r"no such study.*tunewright repair .*study"):
            tuned(tmp_path, "study.trials=2")


READ = """
import json, os, sys
from pathlib import Path
from tunewright.search.study.study import load_record
user = int(sys.argv[2])
if user:  # who may not read where Python is installed either: everything is imported by now
    load_record("sqlite:///" + sys.argv[3], None)
    os.setgid(user); os.setuid(user)
found = {}
for folder in Path(sys.argv[1]).iterdir():
    try:
        (folder / "probe").touch()
        sys.exit()
    except OSError:
        pass
    before = sorted(os.listdir(folder))
    record, _ = load_record(f"sqlite:///{folder}/study.db", None)
    assert sorted(os.listdir(folder)) == before
    found[folder.name] = [len(record.trials), sum(len(t.curve) for t in record.trials)]
print(json.dumps(found))
"""


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder whose parents other users may enter, unlike those of `tmp_path`."""
    folder = Path(tempfile.mkdtemp(prefix="tunewright-test-"))
    folder.chmod(0o755)
    yield folder
    for path in [p for p in folder.rglob("*") if p.is_dir()]:
        path.chmod(0o755)
    shutil.rmtree(folder)


class TestServerAway:
    """A connection that is lost before or after a commit; real servers are in test_postgres."""

    @pytest.fixture
    def storage(self, database: Path, request: pytest.FixtureRequest) -> RetryingStorage:
        """A file that is waited for as a server is, for so many seconds."""
        self.notices: list[str] = []
        seconds = getattr(request, "param", 5.0)
        storage = RetryingStorage(
            f"sqlite:///{database}",
            seconds=seconds,
            on_notice=self.notices.append,
            engine_kwargs=sqlite.write_ahead(database, self.notices.append),
        )
        event.listen(storage.engine, "handle_error", rename_error)
        return storage

    @pytest.fixture
    def study(
        self, database: Path, storage: RetryingStorage, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Study]:
        monkeypatch.setattr(study_module, "open_storage", lambda *_, **__: storage)
        monkeypatch.setattr(study_module, "writer", MethodWriter)
        made = opened(database)
        monkeypatch.undo()
        yield made
        made.close()

    def lose(
        self, storage: RetryingStorage, monkeypatch: pytest.MonkeyPatch, *, after: bool
    ) -> list[int]:
        """The next commit loses its answer, or does not arrive."""
        dialect = storage.engine.dialect
        commit, lost = dialect.do_commit, []

        def losing(connection: Any) -> None:
            if lost:
                return commit(connection)
            lost.append(1)
            if after:
                commit(connection)
            raise sqlite3.OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(dialect, "do_commit", losing)
        return lost

    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("what", ["ask", "report", "tell", "attribute", "lease"])
    def test_nothing_is_lost_and_nothing_is_written_twice(
        self,
        study: Study,
        storage: RetryingStorage,
        monkeypatch: pytest.MonkeyPatch,
        what: str,
        after: bool,
    ) -> None:
        number, values = study.ask()
        twin = study.ask()  # a trial that is running too, and is not the lost one
        lost = self.lose(storage, monkeypatch, after=after)
        match what:
            case "ask":
                assert study.ask()[0] == 2
            case "report":
                study.report(number, 1, 0.25)
            case "tell":
                study.tell(ended(number, "done", 0.5))
            case "attribute":
                study.tell(ended(number, "infeasible", cause="diverged", reason="NaN"))
            case "lease":
                study.set_lease({"pid": 7})
        assert lost, "the connection was lost"
        study.tell(ended(twin[0], "done", 0.75))
        again = Study(study.url, "study", SETTINGS, SPACE)
        assert again.count == (3 if what == "ask" else 2)
        trials = again.record().trials
        assert [trial.number for trial in trials] == list(range(again.count))
        assert trials[number].parameters == values
        assert trials[number].curve == ({1: 0.25} if what == "report" else {})
        assert trials[number].score == (0.5 if what == "tell" else None)
        assert trials[number].state == {"tell": "done", "attribute": "infeasible"}.get(
            what, "running"
        )
        assert again.lease() == ({"pid": 7} if what == "lease" else {})
        again.close()
        assert "does not answer" in self.notices[0]
        assert "answers again" in self.notices[1]

    @pytest.mark.parametrize("storage", [0.5], indirect=True)
    def test_a_storage_that_stays_away_is_an_error_with_the_remedy_and_then_at_once(
        self, study: Study, storage: RetryingStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        number, _ = study.ask()

        def down(_connection: Any) -> None:
            raise sqlite3.OperationalError("connection refused")

        with monkeypatch.context() as patch:
            patch.setattr(storage.engine.dialect, "do_commit", down)
            began = time.monotonic()
            with pytest.raises(StorageLost, match=r"refused.*same command again"):
                study.report(number, 1, 0.5)
            assert time.monotonic() - began >= 0.5
            began = time.monotonic()
            with pytest.raises(StorageLost):
                study.set_lease({})
            assert time.monotonic() - began < 0.4, "it was waited for once"

    def test_two_trials_with_equal_parameters_stay_two(
        self, study: Study, storage: RetryingStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from optuna.trial import TrialState, create_trial

        template = create_trial(state=TrialState.RUNNING)
        study_id = storage.get_study_id_from_name(study.name)
        first = storage.create_new_trial(study_id, template)
        self.lose(storage, monkeypatch, after=False)
        assert storage.create_new_trial(study_id, template) != first


def test_a_file_that_cannot_grow_ends_the_session_as_failed_work(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, as SQLite meets it: no page more."""
    storage = open_storage(f"sqlite:///{database}")
    monkeypatch.setattr(study_module, "open_storage", lambda *_, **__: storage)
    study = opened(database)
    number, _ = study.ask()
    with storage.engine.connect() as connection:
        [pages] = connection.exec_driver_sql("PRAGMA page_count").fetchone()  # type: ignore[misc]
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    def report_for_ever() -> None:
        for step in range(1, 100_000):
            study.report(number, step, 0.5)

    with pytest.raises(StorageLost, match=r"full.*Free space.*same command again"):
        report_for_ever()
    known = dict(study.curves[number])
    study.close()
    again = opened(database)
    assert again.curves[number] == known
    again.close()


@pytest.mark.slow
def test_a_disk_that_fills_up_under_a_real_study(tmp_path: Path) -> None:
    """The coordinator's files cannot grow any more: the end of every file system."""
    shell = Shell(tmp_path)
    words = ["--trials", "8", "epoch_seconds=0.1", "study.pruner.type=none"]
    process = shell.start(*words)
    until(lambda: epochs_reported(shell, 1) >= 2)
    ahead = shell.study / "study.db-wal"
    until(ahead.exists)
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (ahead.stat().st_size, hard))
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 1, printed
    assert "Traceback" not in printed
    assert "Free space on its disk and run the same command again" in " ".join(printed.split())
    until(lambda: not shell.processes(), seconds=15)
    reported = shell.reported()
    shell.finish(*words)
    assert shell.states() == dict.fromkeys(range(8), "COMPLETE")
    assert reported <= shell.stored()


def test_the_umask_says_who_may_write_the_database(tmp_path):
    before = os.umask(0o007)
    try:
        close_storage(url := f"sqlite:///{tmp_path}/new/study.db", open_storage(url))
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "study.db").stat().st_mode & 0o777 == 0o660


def test_a_folder_in_place_of_the_database(tmp_path):
    (tmp_path / "study.db").mkdir()
    with (
        pytest.raises(StudyError, match=r"study\.db is not a file.* Move it away"),
        storage_to_read(f"sqlite:///{tmp_path}/study.db"),
    ):
        pass
    with pytest.raises(StudyError, match=r"does not answer|cannot be created"):
        open_storage(f"sqlite:///{tmp_path}/study.db")
