"""Damaged files of a study folder: each command ends in order, and repair works."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.storages._rdb.models import BaseModel

import tunewright
from tunewright.errors import StudyError, TunewrightError
from tunewright.runs.atomic import read_yaml, write_yaml
from tunewright.runs.folder import RunFolder
from tunewright.search.callbacks import StudyCallback
from tunewright.search.storage.database import open_storage

TRIAL = "study/trials/00002"


class Heard(StudyCallback):
    """Keeps the notices."""

    def __init__(self):
        self.notices = []

    def notice(self, text):
        self.notices.append(text)


def objective(params, report):
    for step in (1, 2, 3):
        report(step, params["x"] / step)
    return {"value": params["x"], "other": 1.0}


def tune(runs: Path, trials: int, **options):
    space = {"x": {"type": "float", "low": 0.0, "high": 1.0}}
    words = ("executor.type=inline", "study.pruner.type=none")
    options = {"goal": "value:max", "name": "study", **options}
    return tunewright.tune(objective, space, *words, trials=trials, runs_dir=runs, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    runs = tmp_path_factory.mktemp("whole")
    tune(runs, 3)
    return runs


@pytest.fixture
def runs(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "runs")
    return tmp_path / "runs"


def sql(runs: Path, text: str) -> None:
    connection = sqlite3.connect(runs / "study" / "study.db")
    connection.execute(text)
    connection.commit()
    connection.close()


def patch(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def as_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


DATABASE = {
    "settings": "UPDATE study_user_attributes SET value_json = '[' WHERE key = 'tunewright'",
    "settings of another type": "UPDATE study_user_attributes SET value_json = '\"{}\"' "
    "WHERE key = 'tunewright'",
    "state": "UPDATE trials SET state = 'DREAMING' WHERE number = 1",
    "distribution": 'UPDATE trial_params SET distribution_json = \'{"name": "Odd"}\'',
    "value": "UPDATE trial_values SET value = 'abc' WHERE rowid = 1",
    "no value": "DELETE FROM trial_values WHERE rowid = 1",
    "results of another type": "UPDATE trial_user_attributes SET value_json = '[1]' "
    "WHERE key = 'run'",
    "number": "UPDATE trials SET number = 40000000000 WHERE number = 2",
    "time": "UPDATE trials SET datetime_start = 'yesterday' WHERE number = 1",
}
TABLES = [*sorted(BaseModel.metadata.tables), "alembic_version"]


def assert_rebuilt_after(damage: str, runs: Path) -> None:
    """Check that a damaged database is refused, rebuilt whole, and searched on in."""
    before = tunewright.analyze("study", runs_dir=runs).record
    sql(runs, damage)
    for call in (lambda: tunewright.analyze("study", runs_dir=runs), lambda: tune(runs, 4)):
        with pytest.raises(StudyError, match=r"study\.db.*tunewright repair"):
            call()
    assert tunewright.repair("study", runs_dir=runs).rebuilt
    after = tunewright.analyze("study", runs_dir=runs).record
    assert [(t.number, t.parameters, t.score, t.curve, t.metrics) for t in after.trials] == [
        (t.number, t.parameters, t.score, t.curve, t.metrics) for t in before.trials
    ]
    assert len(tune(runs, 4).record.trials) == 4


def test_a_folder_that_is_called_by_a_large_number_is_no_trial(runs):
    for name in ("20261130", "99999999999999999999", "99999 copy"):
        (runs / "study" / "trials" / name).mkdir()
    assert not tunewright.repair("study", runs_dir=runs).added
    assert len(tunewright.analyze("study", runs_dir=runs).record.trials) == 3


@pytest.mark.parametrize("damage", DATABASE)
def test_a_whole_database_with_a_damaged_value_is_rebuilt(damage, runs):
    assert_rebuilt_after(DATABASE[damage], runs)


@pytest.mark.parametrize("table", TABLES)
def test_a_database_that_has_lost_a_table_is_rebuilt(table, runs):
    assert_rebuilt_after(f"DROP TABLE {table}", runs)


def test_a_schema_with_bytes_that_are_no_text_is_damage(runs, tmp_path):
    """SQLite quotes them in its message, which Python then cannot decode."""
    file = runs / "study" / "study.db"
    content = file.read_bytes()
    assert b"CREATE TABLE trials" in content
    file.write_bytes(content.replace(b"CREATE TABLE trials", b"CREATE TABL\xe9 trials"))
    for call in (
        lambda: tunewright.analyze("study", runs_dir=runs),
        lambda: tune(runs, 4),
        lambda: tune(tmp_path / "other", 4, imports=[file]),
        lambda: open_storage(f"sqlite:///{file}"),
    ):
        with pytest.raises(StudyError, match=r"study\.db.*malformed.*tunewright repair"):
            call()
    assert "malformed" in tunewright.repair("study", runs_dir=runs).rebuilt
    assert len(tune(runs, 4).record.trials) == 4


def test_tables_without_rows_are_no_damage(runs):
    """A kill while a new study makes its tables leaves some of them."""
    shutil.rmtree(runs / "study" / "trials")
    for table in TABLES:
        sql(runs, f"DELETE FROM {table}" if table < "trial_p" else f"DROP TABLE {table}")
    assert len(tune(runs, 2).record.trials) == 2


@pytest.mark.parametrize(
    "text", ["", "- a list\n", "a: [1\n b", "name: [1]\nconfiguration: 3\n", "name: study\n", "\0"]
)
def test_a_damaged_study_file_is_written_anew_by_the_same_command(text, runs):
    file = runs / "study" / "study.yaml"
    file.write_text(text)
    with pytest.raises(StudyError, match=r"study\.yaml.*[Rr]un the tunewright tune command"):
        tunewright.analyze("study", runs_dir=runs)
    shown = tunewright.analyze(runs / "study" / "study.db")  # what the message tells to do
    assert len(shown.record.trials) == 3
    assert "study.yaml" in tunewright.repair("study", runs_dir=runs).differing[0]
    assert len(tune(runs, 4).record.trials) == 4
    assert len(tunewright.analyze("study", runs_dir=runs).record.trials) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda settings: settings.update(others=7),
        lambda settings: settings.update(constraints=None),
        lambda settings: settings.pop("metric"),
        lambda settings: settings.update(metrik=settings.pop("metric")),
    ],
)
def test_damaged_settings_beside_a_damaged_database_are_computed_anew(damage, runs):
    before = tunewright.analyze("study", runs_dir=runs).record
    file = runs / "study" / "study.yaml"
    stored = read_yaml(file)
    damage(stored["settings"])
    write_yaml(file, stored)
    (runs / "study" / "study.db").write_bytes(b"x" * 5000)
    assert tunewright.repair("study", runs_dir=runs).rebuilt
    after = tunewright.analyze("study", runs_dir=runs).record
    assert [(t.parameters, t.score) for t in after.trials] == [
        (t.parameters, t.score) for t in before.trials
    ]
    assert len(tune(runs, 4).record.trials) == 4


def test_where_both_are_damaged_no_circle_of_remedies_is_told(runs):
    (runs / "study" / "study.yaml").write_text("")
    (runs / "study" / "study.db").write_bytes(b"x" * 5000)
    with pytest.raises(StudyError, match="begin a new study"):
        tunewright.repair("study", runs_dir=runs)


RUN_FILES = {
    "outcome of a later version": lambda run: patch(run / "outcome.json", energy=1, cause="cold"),
    "outcome with other types": lambda run: patch(
        run / "outcome.json", seconds="1", interval={"a": 1}, notes=3, device_mib=[], costs=[1]
    ),
    "outcome in an unknown state": lambda run: patch(run / "outcome.json", state="frozen"),
    "outcome without end": lambda run: (run / "outcome.json").write_text("[" * 100_000),
    "outcome with a list": lambda run: patch(run / "outcome.json", metrics=[1]),
    "outcome is a folder": lambda run: as_folder(run / "outcome.json"),
    "progress cut": lambda run: os.truncate(run / "progress.jsonl", 130),
    "progress with other types": lambda run: (run / "progress.jsonl").write_text(
        '{"attempt": 1, "resumed_from": "a"}\n{"attempt": 1, "step": 1, "metrics": {"value": []}}\n'
    ),
    "progress is a folder": lambda run: as_folder(run / "progress.jsonl"),
    "attempt of another type": lambda run: patch(run / "attempt.json", attempt=None),
    "attempt is a folder": lambda run: as_folder(run / "attempt.json"),
    "start far away": lambda run: patch(run / "trial.json", started=1e300),
    "parameters of another type": lambda run: patch(run / "trial.json", parameters=[1]),
    "memory of another type": lambda run: (run / "memory.json").write_text('{"asked": []}'),
    "configuration cut": lambda run: (run / "config.yaml").write_text("a: ["),
    "folder gone": lambda run: shutil.rmtree(run),
    "file in its place": lambda run: (shutil.rmtree(run), run.write_text("")),
}


@pytest.mark.parametrize("damage", RUN_FILES)
@pytest.mark.parametrize("ended", [True, False])
def test_damaged_files_of_a_run_end_in_order_and_repair_helps(damage, ended, runs):
    if not ended:
        sql(runs, "UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE number = 2")
        sql(runs, "DELETE FROM trial_values WHERE trial_id = 3")
    RUN_FILES[damage](runs / TRIAL)
    told = ""
    try:
        tune(runs, 3)
    except TunewrightError as error:
        told = str(error)
    assert not told or ("00002" in told and ("repair" in told or "Move away" in told))
    tunewright.repair("study", runs_dir=runs)
    assert len(tune(runs, 4).record.trials) == 4
    assert len(tunewright.analyze("study", runs_dir=runs).record.of_state("done")) >= 3


LOST = {
    "a trial": "DELETE FROM trials WHERE number = 1",
    "the last trial": "DELETE FROM trials WHERE number = 2",
    "a parameter": "DELETE FROM trial_params WHERE param_id = 2",
    "the study": "DELETE FROM studies",
    "all parameters": "DELETE FROM trial_params",
}


@pytest.mark.parametrize("lost", LOST)
def test_a_database_that_has_lost_rows_is_rebuilt(lost, runs):
    assert_rebuilt_after(LOST[lost], runs)


@pytest.mark.parametrize("number", [1, 3])
def test_trials_that_a_foreign_database_has_lost_are_counted(number, tmp_path, optuna_storage):
    file = tmp_path / "theirs.db"
    theirs = optuna.create_study(
        storage=optuna_storage(f"sqlite:///{file}"), study_name="theirs", direction="maximize"
    )
    for value in (0.1, 0.2, 0.3, 0.4):
        theirs.tell(theirs.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), value)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM trials WHERE number = ?", (number,))
    space = {"x": {"type": "float", "low": 0.0, "high": 1.0}}
    heard = Heard()
    tunewright.tune(
        objective, space, "executor.type=inline", goal="value:max", trials=1, name="new",
        imports=[file], runs_dir=tmp_path, watch=heard,
    )  # fmt: skip
    assert "3 of 4 trials of theirs are imported" in heard.notices
    assert "  not imported, 1: its database has lost it" in heard.notices


def test_a_note_written_in_the_dashboard_alone_outlives_a_rebuild(runs):
    file = runs / "study" / "study.db"
    tunewright.analyze("study", trial=1, note="unstable", runs_dir=runs)
    (runs / TRIAL).parent.joinpath("00001/note.json").unlink()  # as the dashboard writes it
    sql(runs, LOST["a parameter"])
    report = tunewright.repair("study", runs_dir=runs)
    assert report.rebuilt
    assert file.exists()
    assert tunewright.analyze("study", runs_dir=runs).record.trials[1].note == "unstable"


def test_a_new_attempt_sweeps_half_written_files(runs):
    run = RunFolder(runs / TRIAL)
    (run.path / ".outcome.json.0123abcd").write_text("{")
    (run.path / ".mine").write_text("kept")
    run.begin_attempt()
    assert [file.name for file in run.path.glob(".*")] == [".mine"]
