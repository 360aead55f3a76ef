"""The run folders rebuild the database, and the same command goes on as if nothing had been."""

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from practice.quadratic.studies import rows, tuned

import tunewright
from tunewright.cli import main
from tunewright.errors import StudyError
from tunewright.runs.atomic import read_yaml, write_json, write_yaml
from tunewright.runs.record import StudyRecord
from tunewright.search.loop.lease import FolderLock
from tunewright.search.recovery.trial_from_folder import DROPPED
from tunewright.search.storage.database import Settings, stored_settings
from tunewright.search.study.study import Study, load_record

WORDS = ("study.trials=14", "training.epochs=9", "faults.kind=diverged", "faults.from_x=2.0")


def looked(runs: Path) -> StudyRecord:
    record, _ = load_record(f"sqlite:///{runs}/study/study.db", "study")
    return record


def plain(record: StudyRecord) -> list[tuple[Any, ...]]:
    """What must be the same after a repair; times may differ by a little."""
    return [
        (t.number, t.state, t.parameters, t.score, t.curve, t.cause, t.reason)
        for t in record.trials
    ]


def repaired(runs: Path, **named: Any) -> Any:
    return tunewright.repair("study", runs_dir=runs, **named)


def missing(database: Path) -> None:
    database.unlink()


def garbage(database: Path) -> None:
    database.write_text("this is not a database, but a text of some length\n" * 500)


def torn(database: Path) -> None:
    """A file of which the end is missing, as a full disk or a broken copy leaves it."""
    data = database.read_bytes()
    database.write_bytes(data[: len(data) * 2 // 3])


def holed(database: Path) -> None:
    data = bytearray(database.read_bytes())
    data[8192:40960] = b"\0" * (40960 - 8192)
    database.write_bytes(bytes(data))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with ends of every kind, and a trial that a dying coordinator left running."""
    runs = tmp_path_factory.mktemp("runs")
    tuned(runs, *WORDS)
    original = Study.report

    class Unplugged(Exception):
        pass

    def unplugged(self: Study, number: int, step: int, value: float) -> None:
        original(self, number, step, value)
        if (number, step) == (15, 1):
            raise Unplugged

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Study, "report", unplugged)
        with pytest.raises(Unplugged):
            tuned(runs, *WORDS[1:], "study.trials=16")
    states = {trial.state for trial in looked(runs).trials}
    assert {"done", "pruned", "infeasible", "running"} <= states
    return runs


@pytest.fixture
def runs(begun: Path, tmp_path: Path) -> Path:
    shutil.copytree(begun, tmp_path / "runs")
    return tmp_path / "runs"


class TestBroken:
    @pytest.mark.parametrize("damage", [missing, garbage, torn, holed])
    def test_the_database_is_made_anew_from_the_folders(
        self, runs: Path, damage: Callable[[Path], None]
    ) -> None:
        database = runs / "study/study.db"
        before = looked(runs)
        stored = stored_settings(f"sqlite:///{database}", "study")
        damage(database)
        kept = database.read_bytes() if database.exists() else None
        found = repaired(runs)
        assert found.rebuilt
        assert found.lost == found.differing == ()
        assert plain(looked(runs)) == plain(before)
        for old, new in zip(before.trials, looked(runs).trials, strict=True):
            assert (old.seconds is None) == (new.seconds is None)
            assert abs((old.seconds or 0.0) - (new.seconds or 0.0)) < 1.0
        again = stored_settings(f"sqlite:///{database}", "study")
        assert json.dumps(again and again.as_stored()) == json.dumps(stored and stored.as_stored())
        if kept is None:
            assert found.kept is None
        else:
            assert found.kept == database.with_name("study.broken-1.db")
            assert found.kept.read_bytes() == kept
        names = {file.name for file in database.parent.glob("*study.*db*")}
        assert names <= {"study.db", "study.broken-1.db"}

    def test_the_same_command_goes_on_as_if_nothing_had_been(
        self, runs: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(runs, tmp_path / "untouched")
        garbage(runs / "study/study.db")
        repaired(runs)
        goes_on = [
            tuned(place, *WORDS[1:], "study.trials=20") for place in (tmp_path / "untouched", runs)
        ]
        assert plain(goes_on[0].record) == plain(goes_on[1].record)

    def test_twice_is_as_once_and_the_old_files_keep_their_names(self, runs: Path) -> None:
        database = runs / "study/study.db"
        for count in (1, 2):
            garbage(database)
            assert repaired(runs).kept == database.with_name(f"study.broken-{count}.db")
        before = database.read_bytes()
        again = repaired(runs)
        assert (again.rebuilt, again.kept, again.added, again.filled) == ("", None, (), ())
        assert sorted(database.read_bytes()) == sorted(before) or plain(looked(runs))

    def test_a_database_that_another_program_keeps_locked(
        self, runs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tunewright.search.storage import sqlite

        monkeypatch.setattr(sqlite, "SWITCH_SECONDS", 0.2)
        other = sqlite3.connect(runs / "study/study.db")
        other.execute("BEGIN EXCLUSIVE")
        before = repaired(runs)
        assert "locked" in before.rebuilt
        other.close()
        assert len(looked(runs).trials) == 16

    def test_what_was_written_ahead_of_the_old_file_is_not_read_into_the_new_one(
        self, runs: Path
    ) -> None:
        database = runs / "study/study.db"
        before = plain(looked(runs))
        garbage(database)
        for side in ("-wal", "-shm"):
            database.with_name(f"study.db{side}").write_bytes(b"left behind" * 100)
        repaired(runs)
        assert plain(looked(runs)) == before
        assert sorted(f.name for f in database.parent.glob("study.*db*")) == [
            "study.broken-1.db",
            "study.broken-1.db-shm",
            "study.broken-1.db-wal",
            "study.db",
        ]

    def test_optuna_opens_what_was_made(
        self, runs: Path, optuna_storage: Callable[[str], RDBStorage]
    ) -> None:
        missing(runs / "study/study.db")
        repaired(runs)
        url = f"sqlite:///{runs}/study/study.db"
        study = optuna.load_study(study_name="study", storage=optuna_storage(url))
        assert len(study.trials) == 16
        assert study.best_trial.number == looked(runs).best.number  # type: ignore[union-attr]
        infeasible = [t for t in study.trials if any(v > 0 for v in t.constraints.values())]
        assert len(infeasible) == len(looked(runs).of_state("infeasible"))


class TestHoles:
    def test_a_folder_that_is_gone_keeps_its_number(
        self, runs: Path, optuna_storage: Callable[[str], RDBStorage]
    ) -> None:
        before = looked(runs)
        shutil.rmtree(runs / "study/trials/00003")
        missing(runs / "study/study.db")
        found = repaired(runs)
        assert found.lost == ("trial 3: it has no folder",)
        after = looked(runs)
        assert plain(after) == plain(before)[:3] + plain(before)[4:]
        url = f"sqlite:///{runs}/study/study.db"
        trial = optuna.load_study(study_name="study", storage=optuna_storage(url)).trials[3]
        assert (trial.state.name, trial.user_attrs) == ("FAIL", {DROPPED: "it has no folder"})
        done = tuned(runs, *WORDS[1:], "study.trials=18")
        numbers = [number for number in range(19) if number != 3]
        assert [t.number for t in done.record.trials] == numbers, "a hole is no trial"

    def test_files_that_nobody_can_read_are_named(self, runs: Path) -> None:
        before = looked(runs)
        numbers = [t.number for t in before.of_state("done")][:3]
        folders = [runs / f"study/trials/{number:05d}" for number in numbers]
        (folders[0] / "outcome.json").write_text('{"state": "do')
        (folders[1] / "trial.json").unlink()
        (folders[1] / "config.yaml").write_text("{")
        (folders[2] / "trial.json").write_text("?")
        missing(runs / "study/study.db")
        found = repaired(runs)
        assert found.lost[0].startswith(f"trial {numbers[0]}: outcome.json is not readable")
        assert found.lost[1].startswith(f"trial {numbers[1]}: ")
        assert "config.yaml is not readable" in found.lost[1]
        assert len(found.lost) == 2, "the third is read from its configuration"
        after = {t.number: t for t in looked(runs).trials}
        assert after[numbers[0]].state == "running"
        assert after[numbers[0]].curve == before.trials[numbers[0]].curve
        assert numbers[1] not in after
        assert after[numbers[2]].parameters == before.trials[numbers[2]].parameters
        done = tuned(runs, *WORDS[1:], "study.trials=16")
        assert done.record.trials[numbers[0]].state == "done", "it was taken up again"

    def test_a_count_of_attempts_that_is_lost_is_counted_again(self, runs: Path) -> None:
        for file in (runs / "study/trials").glob("*/attempt.json"):
            file.unlink()
        before = looked(runs)
        missing(runs / "study/study.db")
        assert repaired(runs).lost == ()
        assert plain(looked(runs)) == plain(before)
        counts = {
            json.loads(file.read_text())["attempt"]
            for file in (runs / "study/trials").glob("*/attempt.json")
        }
        assert counts == {1}

    def test_a_lack_of_memory_that_nobody_answered_is_no_end(self, runs: Path) -> None:
        """The coordinator died before it could ask for smaller micro-batches."""
        done = next(t for t in looked(runs).trials if t.state == "done")
        file = runs / f"study/trials/{done.number:05d}/outcome.json"
        outcome = json.loads(file.read_text())
        write_json(file, outcome | {"state": "failed", "cause": "out of memory"})
        missing(runs / "study/study.db")
        repaired(runs)
        assert looked(runs).trials[done.number].state == "running"

    def test_a_point_that_is_not_in_the_space_is_not_told_to_the_sampler(self, runs: Path) -> None:
        write_json(
            runs / "study/trials/00002/trial.json", {"parameters": {"point.x": 77.0}, "started": 1}
        )
        missing(runs / "study/study.db")
        [lost] = repaired(runs).lost
        assert lost.startswith("trial 2: point.x = 77.0 is not in the space")


class TestWhole:
    def test_a_whole_database_is_left_as_it_is(self, runs: Path) -> None:
        before = rows(runs / "study/study.db", "SELECT * FROM trials")
        found = repaired(runs)
        assert found.rebuilt == ""
        assert (found.added, found.filled, found.differing, found.lost) == ((), (), (), ())
        assert rows(runs / "study/study.db", "SELECT * FROM trials") == before
        assert found.by_state["running"] == 1

    def test_what_was_reported_and_not_stored_is_filled_in(self, runs: Path) -> None:
        before = plain(looked(runs))
        connection = sqlite3.connect(runs / "study/study.db")
        gone = "DELETE FROM trial_intermediate_values WHERE trial_id IN (1, 16) AND step < 2"
        assert connection.execute(gone).rowcount == 2
        connection.commit()
        connection.close()
        found = repaired(runs)
        assert found.filled == ("trial 0: 1 reported value(s)", "trial 15: 1 reported value(s)")
        assert plain(looked(runs)) == before
        assert repaired(runs).filled == ()

    def test_an_end_that_was_not_stored_is_filled_in(self, runs: Path) -> None:
        before = plain(looked(runs))
        connection = sqlite3.connect(runs / "study/study.db")
        for line in (
            "UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE number = 0",
            "DELETE FROM trial_values WHERE trial_id = 1",
            "DELETE FROM trial_system_attributes WHERE trial_id = 1",
        ):
            connection.execute(line)
        connection.commit()
        connection.close()
        [filled] = repaired(runs).filled
        assert filled.startswith("trial 0: its end")
        assert plain(looked(runs)) == before

    def test_where_they_differ_it_says_so_and_changes_nothing(self, runs: Path) -> None:
        best = looked(runs).best
        assert best is not None
        connection = sqlite3.connect(runs / "study/study.db")
        connection.execute(f"UPDATE trial_values SET value = 9 WHERE trial_id = {best.number + 1}")
        connection.commit()
        connection.close()
        shutil.rmtree(runs / "study/trials/00004")
        found = repaired(runs)
        texts = " ".join(found.differing)
        assert len(found.differing) == 2
        assert f"trial {best.number}: complete with [9.0]" in texts
        assert "trial 4 has no folder" in texts
        now = looked(runs).best
        assert now is not None
        assert now.score == 9.0

    def test_trials_that_a_crash_of_the_machine_took_are_adopted_on_a_resume(
        self, runs: Path
    ) -> None:
        before = looked(runs)
        connection = sqlite3.connect(runs / "study/study.db")
        for table in ("trial_params", "trial_values", "trial_intermediate_values", "trials",
                      "trial_user_attributes", "trial_system_attributes"):  # fmt: skip
            connection.execute(f"DELETE FROM {table} WHERE trial_id > 12")
        connection.commit()
        connection.close()
        done = tuned(runs, *WORDS[1:], "study.trials=16")
        assert plain(done.record)[:15] == plain(before)[:15]
        assert done.record.trials[15].parameters == before.trials[15].parameters


class TestElsewhere:
    def test_a_study_of_an_earlier_version_that_stored_less(self, runs: Path) -> None:
        """Without `trial.json`, and with a `study.yaml` that has no settings."""
        before = looked(runs)
        url = f"sqlite:///{runs}/study/study.db"
        settings = stored_settings(url, "study")
        for file in (runs / "study/trials").glob("*/trial.json"):
            file.unlink()
        stored = read_yaml(runs / "study/study.yaml")
        del stored["settings"]
        write_yaml(runs / "study/study.yaml", stored)
        missing(runs / "study/study.db")
        assert repaired(runs).lost == ()
        assert plain(looked(runs)) == plain(before)
        again = stored_settings(url, "study")
        assert settings is not None
        assert again is not None
        assert again.typed_holds is False, "an earlier version's stages outweighed what was typed"
        for name in Settings.__dataclass_fields__.keys() - {"typed_holds"}:
            old, new = (json.loads(json.dumps(s.as_stored()[name])) for s in (settings, again))
            assert old == new, name
        tuned(runs, *WORDS[1:], "study.trials=16")

    def test_a_study_in_a_database_with_others_touches_only_its_own(
        self, tmp_path: Path, optuna_storage: Callable[[str], RDBStorage]
    ) -> None:
        storage = f"study.storage='sqlite:///{tmp_path}/shared.db'"
        tuned(tmp_path, "study.trials=3", storage)
        tuned(tmp_path, "study.trials=2", storage, "study.name=other")
        url = f"sqlite:///{tmp_path}/shared.db"
        before = plain(load_record(url, "study")[0])
        optuna.delete_study(study_name="study", storage=optuna_storage(url))
        found = repaired(tmp_path)
        assert (found.rebuilt, found.added) == ("", (0, 1, 2))
        assert plain(load_record(url, "study")[0]) == before
        assert len(load_record(url, "other")[0].trials) == 2

    def test_a_study_at_work_is_left_alone(self, runs: Path) -> None:
        lock = FolderLock(runs / "study")
        with pytest.raises(StudyError, match="is in use"):
            repaired(runs)
        lock.release()

    def test_a_folder_that_is_no_study(self, tmp_path: Path) -> None:
        with pytest.raises(StudyError, match="no study 'study'"):
            repaired(tmp_path)

    def test_a_function_s_study_is_rebuilt_too(self, tmp_path: Path) -> None:
        space = {
            "x": {"type": "float", "low": -1.0, "high": 1.0},
            "kind": {"type": "categorical", "choices": [True, 1, None, "x", [1, 2]]},
            "depth": {"type": "int", "low": 1, "high": 3, "when": {"kind": ["x", None]}},
        }

        def parabola(params: Any, report: Any) -> float:
            return float(params["x"] ** 2)

        def search(trials: int) -> Any:
            return tunewright.tune(
                parabola, space, goal="value:min", trials=trials, name="study", runs_dir=tmp_path
            )

        before = search(12).record
        missing(tmp_path / "study/study.db")
        assert repaired(tmp_path).lost == ()
        assert plain(looked(tmp_path)) == plain(before)
        for file in (tmp_path / "study/trials").glob("*/trial.json"):
            file.unlink()
        missing(tmp_path / "study/study.db")
        assert repaired(tmp_path).lost == ()
        assert plain(looked(tmp_path)) == plain(before)
        assert len(search(14).record.trials) == 14

    def test_the_command(
        self, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        garbage(runs / "study/study.db")

        def typed(*words: str) -> str:
            command = ["tunewright", "repair", "study", "--runs-dir", str(runs), *words]
            monkeypatch.setattr(sys, "argv", command)
            with pytest.raises(SystemExit) as left:
                main()
            assert left.value.code == 0
            return capsys.readouterr().out

        printed = typed()
        assert "file is not a database" in printed
        assert "study.broken-1.db" in printed
        assert "16 trials: " in printed
        assert json.loads(typed("--json"))["filled"] == []
