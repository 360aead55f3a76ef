"""A database of an older Optuna is read from an upgraded copy."""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from alembic import command
from optuna.storages import RDBStorage

import tunewright
from tunewright.errors import StudyError
from tunewright.search.storage.database import storage_to_read
from tunewright.search.storage.older_schema import with_current_schema

DUMP = Path(__file__).parents[2] / "fixtures/optuna_2.10.1.sql"
SPACE = {
    "inherit": False,
    "parameters": {
        "point.x": {"type": "float", "low": -4.0, "high": 4.0},
        "point.y": {"type": "float", "low": -5.0, "high": 5.0},
        "point.side": {"type": "categorical", "choices": ["left", "right"]},
    },
}
FAST = ("quadratic", "executor.type=inline", "study.final=false", "training.epochs=2")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a file as Optuna 2.10.1 left it."""
    file = tmp_path / "50 % old?.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(DUMP.read_text(encoding="utf-8"))
    return file


def test_its_trials_are_imported_and_the_file_stays(old: Path, tmp_path: Path) -> None:
    before = old.read_bytes()
    found = tunewright.tune(
        *FAST, imports=[str(old)], space=SPACE, trials=1, name="new", runs_dir=tmp_path
    )
    assert old.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if "old" in path.name] == [old.name]
    imported = [trial for trial in found.record.trials if trial.imported_from]
    assert [trial.state for trial in imported] == ["done", "pruned", "failed", "done"]
    with closing(sqlite3.connect(old)) as connection:
        query = (
            "SELECT value FROM trial_values JOIN trials USING (trial_id) "
            "WHERE state = 'COMPLETE' ORDER BY trial_id"
        )
        scores = [value for (value,) in connection.execute(query)]
    assert [trial.score for trial in imported if trial.state == "done"] == scores
    assert {trial.parameters["point.side"] for trial in imported} <= {"left", "right"}


def test_it_is_analyzed_as_well(old: Path) -> None:
    view = tunewright.analyze(old)
    assert view.record.name == "old"
    assert len(view.record.trials) == 4


@pytest.mark.parametrize("version", ["v3.0.0.d", "v3.0.0.a"])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_tables_of_other_versions_are_upgraded(old: Path, tmp_path: Path, version: str) -> None:
    file = old.rename(tmp_path / "old.db")
    url = f"sqlite:///{file}"
    between = RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)
    command.upgrade(between._version_manager._create_alembic_config(), version)
    between.engine.dispose()
    before = file.read_bytes()
    with storage_to_read(url) as storage:
        assert storage is not None
        trials = optuna.load_study(study_name="old", storage=storage).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "FAIL", "COMPLETE"]
    assert [sorted(trial.params) for trial in trials] == 4 * [sorted(SPACE["parameters"])]
    assert file.read_bytes() == before


def test_loggers_stay_as_they_are(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    mine = logging.getLogger("mine")
    with with_current_schema(old) as current:
        assert current != old
    assert not mine.disabled
    assert logging.getLogger().handlers == []


def test_a_file_of_today_is_no_copy(
    tmp_path: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    file = tmp_path / "new.db"
    optuna.create_study(storage=optuna_storage(f"sqlite:///{file}"))
    with with_current_schema(file) as current:
        assert current == file


def test_a_newer_one_is_refused_with_what_to_do(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9.0.0.a'")
        connection.commit()
    with pytest.raises(StudyError, match=r"another version of Optuna.*pip install -U optuna"):
        tunewright.analyze(old)


def test_a_study_is_not_searched_on_in_it(old: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    old.rename(tmp_path / "old.db")
    before = (tmp_path / "old.db").read_bytes()
    with pytest.raises(StudyError, match=r"optuna storage upgrade --storage sqlite:.*old\.db"):
        tunewright.tune(*FAST, storage=url, name="mine", trials=1, runs_dir=tmp_path)
    assert (tmp_path / "old.db").read_bytes() == before
