"""Notes on trials, as optuna-dashboard keeps them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from practice.quadratic.studies import tuned

import tunewright
from tunewright.cli import main
from tunewright.errors import StudyError, UsageError
from tunewright.search.loop.lease import FolderLock
from tunewright.search.study.notes import notes_of, write_notes

LONG = "0123456789" * 500
Load = Callable[[Path], optuna.Study]


@pytest.fixture
def loaded(optuna_storage: Callable[[str], RDBStorage]) -> Load:
    def load(runs: Path) -> optuna.Study:
        url = f"sqlite:///{runs}/study/study.db"
        return optuna.load_study(study_name="study", storage=optuna_storage(url))

    return load


@contextmanager
def storage_of(runs: Path) -> Iterator[tuple[RDBStorage, int]]:
    """The storage of the study and the id that it has there."""
    storage = RDBStorage(f"sqlite:///{runs}/study/study.db")
    yield storage, storage.get_study_id_from_name("study")
    storage.remove_session()
    storage.engine.dispose()


def dashboards_note(runs: Path, number: int) -> tuple[int, str]:
    """Return version and text of a note as optuna_dashboard 0.21 reads them (`_note.get_note`)."""
    with storage_of(runs) as (storage, study_id):
        attributes = storage.get_study_system_attrs(study_id)
        trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)
    prefix = f"dashboard:{trial_id}:note_str:"
    parts = {key: value for key, value in attributes.items() if key.startswith(prefix)}
    text = "".join(parts[f"{prefix}{i}"] for i in range(len(parts)))
    return attributes[f"dashboard:{trial_id}:note_ver"], text


@pytest.mark.parametrize("note", ["unstable after epoch 3", "two\nlines, Zürich 🌷", LONG])
def test_a_note_is_shown_and_kept(tmp_path: Path, note: str) -> None:
    tuned(tmp_path, "study.trials=3")
    view = tunewright.analyze("study", trial=1, note=note, runs_dir=tmp_path)
    assert view.chosen is not None
    assert view.chosen.note == note
    assert [row["trial"] for row in view.overview.top] == [1]
    assert view.as_json()["notes"] == [{"trial": 1, "note": note}]
    assert dashboards_note(tmp_path, 1) == (1, note)
    assert max(map(len, map(str, dashboards_note(tmp_path, 1)))) == len(note)
    assert tunewright.analyze("study", runs_dir=tmp_path).record.trials[1].note == note


def test_a_shorter_note_replaces_a_longer_one_and_none_removes_it(tmp_path: Path) -> None:
    tuned(tmp_path, "study.trials=2")
    for version, note in enumerate((LONG, "short", "")):
        view = tunewright.analyze("study", trial=0, note=note, runs_dir=tmp_path)
        assert view.record.trials[0].note == note
        assert dashboards_note(tmp_path, 0) == (version + 1, note)
    assert not (tmp_path / "study/trials/00000/note.json").exists()


def test_repair_keeps_it(tmp_path: Path, loaded: Load) -> None:
    tuned(tmp_path, "study.trials=3")
    tunewright.analyze("study", trial=2, note="mine", runs_dir=tmp_path)
    (tmp_path / "study/study.db").unlink()
    found = tunewright.repair("study", runs_dir=tmp_path)
    assert "trial 2: its note" in found.filled
    assert notes_of(loaded(tmp_path)) == {2: "mine"}
    assert tunewright.repair("study", runs_dir=tmp_path).filled == ()


def test_what_the_dashboard_saved_is_read(tmp_path: Path, loaded: Load) -> None:
    tuned(tmp_path, "study.trials=2")
    write_notes(loaded(tmp_path), {1: "from the dashboard"})
    view = tunewright.analyze("study", runs_dir=tmp_path)
    assert view.overview.notes == [{"trial": 1, "note": "from the dashboard"}]


def test_a_changed_space_keeps_all_notes(tmp_path: Path, loaded: Load) -> None:
    space = {"inherit": False, "parameters": {"point.x": {"low": -5.0, "high": 5.0}}}
    tuned(tmp_path, "study.trials=3", space=space)
    tunewright.analyze("study", trial=0, note="typed", runs_dir=tmp_path)
    write_notes(loaded(tmp_path), {1: "from the dashboard"})
    wider = {"inherit": False, "parameters": {"point.x": {"low": -5.0, "high": 4.9}}}
    tuned(tmp_path, "study.trials=4", space=wider)
    assert notes_of(loaded(tmp_path)) == {0: "typed", 1: "from the dashboard"}


def test_a_failed_trial_that_is_run_again_keeps_it(tmp_path: Path) -> None:
    faults = ("faults.kind=error", "faults.from_x=-9", "faults.first_attempts=1", "study.trials=2")
    tuned(tmp_path, *faults)
    tunewright.analyze("study", trial=1, note="why?", runs_dir=tmp_path)
    tuned(tmp_path, *faults, "study.retry_failed=true")
    [_, second] = tunewright.analyze("study", runs_dir=tmp_path).record.trials
    assert (second.state, second.note) == ("done", "why?")


def test_a_study_that_is_running_takes_it(tmp_path: Path) -> None:
    tuned(tmp_path, "study.trials=2")
    lock = FolderLock(tmp_path / "study")
    try:
        view = tunewright.analyze("study", trial=0, note="now", runs_dir=tmp_path)
    finally:
        lock.release()
    assert view.record.trials[0].note == "now"


def test_a_database_of_another_program(
    tmp_path: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    url = f"sqlite:///{tmp_path}/other.db"
    study = optuna.create_study(storage=optuna_storage(url), study_name="other")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    view = tunewright.analyze(tmp_path / "other.db", trial=1, note="theirs")
    assert view.overview.notes == [{"trial": 1, "note": "theirs"}]


def test_a_value_that_is_no_note_is_none(tmp_path: Path) -> None:
    tuned(tmp_path, "study.trials=1")
    with storage_of(tmp_path) as (storage, study_id):
        trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, 0)
        storage.set_study_system_attr(study_id, f"dashboard:{trial_id}:note_str:0", 17)  # type: ignore[arg-type]
    assert tunewright.analyze("study", runs_dir=tmp_path).overview.notes == []


def test_what_cannot_be_noted(tmp_path: Path) -> None:
    tuned(tmp_path, "study.trials=2")
    with pytest.raises(UsageError, match="a note without its trial"):
        tunewright.analyze("study", note="x", runs_dir=tmp_path)
    with pytest.raises(UsageError, match="expected a trial and a text"):
        tunewright.analyze("study", trial=0, note="\udce4", runs_dir=tmp_path)
    with pytest.raises(StudyError, match="no trial 7: expected a number from 0 to 1"):
        tunewright.analyze("study", trial=7, note="x", runs_dir=tmp_path)


def test_it_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned(
        tmp_path, "study.trials=2", "faults.kind=error", "faults.from_x=-9", "study.max_failures=9"
    )
    words = [
        "analyze",
        "study",
        "--trial",
        "1",
        "--note",
        "\x1b[2Jred",
        "--runs-dir",
        str(tmp_path),
    ]
    monkeypatch.setattr("sys.argv", ["tunewright", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert "trial 1, failed" in printed
    assert r"note on trial 1: \x1b[2Jred" in printed
