"""Reports and analyses of studies that are strange, old, or being written to."""

import json
import math
import re
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import optuna
import pytest

import tunewright

DUMP = Path(__file__).parents[2] / "fixtures/optuna_2.10.1.sql"
EVIL = "</script><img src=x onerror=alert(1)> \U0001f600 'q' \"p\" \u202e\x1b[2J"


def report_of(url, tmp_path, name="study"):
    """Return the page, of which every chart must be strict JSON; figures and analysis too."""
    view = tunewright.analyze(storage=url, name=name)
    json.dumps(view.as_json(), allow_nan=False)
    assert "<img src=x" not in view._repr_html_()
    written = tunewright.report(storage=url, name=name, output=tmp_path / "r.html")
    text = written.file.read_text()
    charts = re.findall(r'type="application/json"[^>]*>(.*?)</script>', text, re.S)
    for chart in charts:
        json.loads(chart, parse_constant=pytest.fail)
    assert "<img src=x" not in text
    return text, len(charts)


@pytest.fixture
def study(tmp_path, optuna_storage):
    """An empty study of Optuna, by its URL."""
    url = f"sqlite:///{tmp_path}/study.db"
    made = optuna.create_study(
        storage=optuna_storage(url), study_name="study", direction="maximize"
    )
    return made, url


def add(study, count, **fields):
    """Add trials of two parameters; fields: functions of the number."""
    domains = {
        "x": optuna.distributions.FloatDistribution(0.0, 1.0),
        EVIL: optuna.distributions.CategoricalDistribution([EVIL, "b"]),
    }
    trials = []
    for number in range(count):
        given = {name: value(number) for name, value in fields.items()}
        params = {"x": number / count, EVIL: [EVIL, "b"][number % 2]}
        trials.append(optuna.create_trial(params=params, distributions=domains, **given))
    study.add_trials(trials)


def test_nan_and_infinities_in_scores_and_curves(study, tmp_path):
    made, url = study
    strange = (0.5, math.inf, -math.inf, 0.7)
    add(
        made, 16, value=lambda n: strange[n % 4] + (n / 100 if n % 4 == 0 else 0.0),
        intermediate_values=lambda n: {1: math.nan, 2: math.inf, 3: -math.inf, 4: n / 16},
    )  # fmt: skip
    fail = optuna.trial.TrialState.FAIL
    add(made, 3, state=lambda _: fail, intermediate_values=lambda _: {1: math.nan})
    text, count = report_of(url, tmp_path)
    assert "19 trials (" in text
    assert "3 failed)" in text
    assert count >= 5
    for kind in ("history", "curves", "slices", "parallel"):
        tunewright.report(storage=url, name="study", figure=kind, output=tmp_path / f"{kind}.svg")


@pytest.mark.parametrize("score", [math.nan, 0.0, 1e308, -1e308])
def test_one_trial_and_scores_that_are_all_alike(study, tmp_path, score):
    made, url = study
    state = optuna.trial.TrialState.FAIL if math.isnan(score) else None
    fields = {"state": lambda _: state} if state else {"value": lambda _: score}
    add(made, 1, **fields)
    report_of(url, tmp_path)
    add(made, 11, **fields)
    text, _ = report_of(url, tmp_path)
    assert ("No trial has finished yet." in text) is (state is not None)


def test_trials_without_parameters_or_that_wait(study, tmp_path):
    made, url = study
    made.enqueue_trial({"x": 0.5})
    made.add_trial(optuna.create_trial(value=0.5))
    made.ask()
    made.ask()
    text, _ = report_of(url, tmp_path)
    assert "best value" in text


def test_two_goals_of_which_one_is_infinite(tmp_path, optuna_storage):
    url = f"sqlite:///{tmp_path}/study.db"
    made = optuna.create_study(
        storage=optuna_storage(url), study_name="study", directions=["maximize", "minimize"]
    )
    add(made, 12, values=lambda n: [n / 10, math.inf if n == 3 else -n / 10])
    assert report_of(url, tmp_path)[1] >= 4


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database_that_is_being_written_to(study, tmp_path, mode):
    """A transaction that is open is not seen, nor waited for."""
    made, url = study
    add(made, 12, value=lambda n: n / 12)
    with closing(sqlite3.connect(tmp_path / "study.db", isolation_level=None)) as writer:
        writer.execute(f"PRAGMA journal_mode={mode}")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO trials (number, study_id, state) VALUES (99, 1, 'RUNNING')")
        text, _ = report_of(url, tmp_path)
        assert "12 trials (12 done)" in text
        writer.execute("COMMIT")
        assert "(12 done, 1 running)" in report_of(url, tmp_path)[0]


def test_a_study_that_grows_while_it_is_read(study, tmp_path):
    made, url = study
    add(made, 4, value=lambda n: n / 4)
    ended = threading.Event()

    def grow():
        while not ended.is_set():
            add(made, 2, value=lambda n: n / 2, intermediate_values=lambda n: {1: n / 2})

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for _ in range(3):
            report_of(url, tmp_path)
    finally:
        ended.set()
        writer.join()


def test_a_database_of_an_older_optuna(tmp_path):
    file = tmp_path / "old.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(DUMP.read_text(encoding="utf-8"))
    before = file.read_bytes()
    text, count = report_of(f"sqlite:///{file}", tmp_path, name="old")
    assert "4 trials" in text
    assert count >= 1
    assert file.read_bytes() == before


def test_names_of_a_study_of_any_kind_name_its_file(tmp_path, optuna_storage, monkeypatch):
    url = f"sqlite:///{tmp_path}/study.db"
    storage = optuna_storage(url)
    made = optuna.create_study(storage=storage, study_name=EVIL, direction="maximize")
    add(made, 3, value=lambda n: n / 3)
    monkeypatch.chdir(tmp_path)
    written = tunewright.report(storage=url, name=EVIL)
    assert re.fullmatch(r"[\w.-]+", written.file.name)
    assert "<img src=x" not in written._repr_html_()
    assert "<img src=x" not in tunewright.compare(f"{url}#{EVIL}", f"{url}#{EVIL}")._repr_html_()
