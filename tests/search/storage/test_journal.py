"""Journal files of Optuna: read as they stand, while they are written, without a trace."""

import json
import shutil

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import tunewright
from tunewright.errors import StudyError, UsageError


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A journal of two studies; the first has 25 trials, some pruned and one running."""
    file = tmp_path_factory.mktemp("journal") / "their journal.log"
    storage = JournalStorage(JournalFileBackend(str(file)))

    def objective(trial):
        x = trial.suggest_float("x", 0.0, 1.0)
        kind = trial.suggest_categorical("kind", ["a", "b"])
        for step in range(1, 4):
            trial.report(x / step, step)
        if trial.number % 5 == 4:
            raise optuna.TrialPruned
        return x + (kind == "a")

    study = optuna.create_study(storage=storage, study_name="first", direction="maximize")
    study.optimize(objective, n_trials=24)
    study.ask().suggest_float("x", 0.0, 1.0)
    optuna.create_study(storage=storage, study_name="second").ask()
    return file


@pytest.fixture
def journal(written, tmp_path):
    """A copy in a folder of its own."""
    return shutil.copy(written, tmp_path / "journal.log")


@pytest.mark.parametrize("way", ["file", "path", "url"])
def test_a_journal_is_analyzed(journal, way):
    named = {
        "file": {"study": journal},
        "path": {"storage": f"journal:{journal}"},
        "url": {"storage": f"journal://{journal}"},
    }[way]
    found = tunewright.analyze(name="first", **named)
    assert found.overview.by_state["done"] == 20
    assert found.overview.by_state["pruned"] == 4
    assert found.overview.by_state["running"] == 1
    assert found.record.trials[0].curve.keys() == {1, 2, 3}
    assert found.overview.importances


def test_report_and_figures_are_drawn_and_nothing_is_left_beside_it(journal, tmp_path):
    before = journal.read_bytes()
    place = {"storage": f"journal:{journal}", "name": "first"}
    report = tunewright.report(output=tmp_path / "out" / "r.html", **place)
    assert "Score by trial" in report.file.read_text()
    figure = tunewright.report(output=tmp_path / "out" / "f.svg", figure="history", **place)
    assert figure.file.stat().st_size > 1000
    assert journal.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"journal.log", "out"}


def test_a_last_line_that_is_being_written_is_left_out(journal):
    whole = journal.read_bytes()
    for cut in (1, 7, 30):
        journal.write_bytes(whole + b'{"op_code": 4, "worker_id": "x", "study_id": 0}\n'[:-cut])
        assert len(tunewright.analyze(journal, name="first").record.trials) == 25
    journal.write_bytes(whole + b'{"op_c\n')
    assert len(tunewright.analyze(journal, name="first").record.trials) == 25


def test_a_lock_of_a_writer_is_not_waited_for(journal):
    lock = journal.with_name("journal.log.lock")
    lock.symlink_to(journal)
    assert tunewright.analyze(journal, name="first").overview.trials == 25
    assert lock.is_symlink()


def test_damage_before_the_end_is_named_with_its_line_and_the_remedy_works(journal, tmp_path):
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[9] = lines[9][:4] + b"\x00\n"
    journal.write_bytes(b"".join(lines))
    with pytest.raises(StudyError, match=r"line 10 of .* is damaged.*head -n 9"):
        tunewright.analyze(journal, name="first")
    copy = tmp_path / "copy.log"
    copy.write_bytes(b"".join(lines[:9]))
    assert tunewright.analyze(copy).overview.trials >= 1


def test_changes_that_optuna_cannot_replay_are_one_error(journal):
    journal.write_bytes(b'{"op_code": 4, "worker_id": "x"}\n' + journal.read_bytes())
    with pytest.raises(StudyError, match="cannot be replayed"):
        tunewright.analyze(journal, name="first")


def test_a_study_must_be_named_among_several(journal):
    with pytest.raises(StudyError, match="one of first, second"):
        tunewright.analyze(journal)
    with pytest.raises(StudyError, match="Did you mean 'first'"):
        tunewright.analyze(journal, name="frist")


def test_what_is_not_there_or_no_journal(tmp_path):
    with pytest.raises(StudyError, match="does not exist"):
        tunewright.analyze(storage=f"journal:{tmp_path}/none.log")
    (tmp_path / "config.json").write_text(json.dumps({"a": 1}) + "\n")
    with pytest.raises(StudyError):
        tunewright.analyze(tmp_path / "config.json")


def test_nothing_is_written_into_one(journal):
    with pytest.raises(StudyError, match="journals are only read"):
        tunewright.analyze(storage=f"journal:{journal}", name="first", trial=0, note="good")
    space = {"x": {"type": "int", "low": 1, "high": 2}}
    with pytest.raises(StudyError, match="journals are only read"):
        tunewright.tune(
            lambda params, report: params["x"], space, storage=f"journal://{journal}", trials=1,
            goal="value", runs_dir=journal.parent / "runs",
        )  # fmt: skip
    with pytest.raises(UsageError, match="optuna-dashboard"):
        tunewright.dashboard(journal)


def test_studies_of_journals_are_compared(journal):
    found = tunewright.compare(f"{journal}#first", f"journal:{journal}#first")
    assert found.scores[0].value == 0.0
