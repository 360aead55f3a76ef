"""Reports of studies of every kind: by us, by Optuna's own users, damaged, empty, strange."""

import json
import math
import re

import optuna
import pytest

import tunewright
from tunewright.errors import NotWritten, StudyError, UsageError
from tunewright.reports.study.kinds import NAMES

INLINE = ("executor.type=inline", "study.pruner.type=none")
X = {"x": {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5}}
EVIL = "</script><img src=x onerror=alert(1)> \U0001f600 'q' \"p\""


def tune(function, runs, space=None, **named):
    named = {"goal": "value:max", "trials": 15, "name": "study", **named}
    return tunewright.tune(function, space or X, *INLINE, runs_dir=runs, **named)


def parabola(params, report):
    for step in range(1, 4):
        report(step, -((params["x"] - 0.3) ** 2) - 0.1 / step)
    return -((params["x"] - 0.3) ** 2)


def page(runs, name="study"):
    return (runs / name / "report.html").read_text()


def shown(text):
    """Return the charts of a page by title."""
    pairs = re.findall(
        r'<h3>([^<]*)</h3>\s*<div class="plot" id="([^"]*)".*?data-for="\2">(.*?)</script>',
        text,
        re.S,
    )
    return {title: json.loads(chart) for title, _, chart in pairs}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A study of two parameters."""
    runs = tmp_path_factory.mktemp("runs")
    space = {**X, "kind": {"type": "categorical", "choices": ["a", "b"], "default": "a"}}
    tune(parabola, runs, space, trials=20)
    return runs


class TestOwnStudy:
    def test_tune_writes_it(self, runs):
        text = page(runs)
        assert "20 trials (20 done)" in text
        assert "best value" in text
        assert "gain over the defaults" in text

    def test_it_needs_no_network(self, runs):
        text = page(runs).replace("http://www.w3.org/", "")
        assert 'src="http' not in text
        assert "<link" not in text

    def test_it_shows_the_search_and_the_parameters(self, runs):
        charts = shown(page(runs))
        for title in ("Score by trial", "Learning curves", "Best score by kind", "x", "kind"):
            assert title in charts
        best = next(t for t in charts["Score by trial"]["data"] if t["name"] == "best so far")
        assert best["y"] == sorted(best["y"])

    @pytest.mark.parametrize(
        "kind", sorted(set(NAMES) - {"goals", "evaluation", "audit", "metrics"})
    )
    def test_each_figure_is_a_file_of_its_own(self, runs, kind, tmp_path):
        for suffix in (".png", ".html"):
            written = tunewright.report(
                "study", figure=kind, output=tmp_path / f"f{suffix}", runs_dir=runs
            )
            assert written.file.stat().st_size > 2000

    def test_a_figure_without_anything_to_show_says_what_it_needs(self, runs, tmp_path):
        with pytest.raises(StudyError, match="a study with several goals"):
            tunewright.report("study", figure="goals", output=tmp_path / "f.png", runs_dir=runs)

    def test_nothing_is_written_into_the_database(self, runs):
        before = (runs / "study" / "study.db").read_bytes()
        tunewright.report("study", runs_dir=runs)
        assert (runs / "study" / "study.db").read_bytes() == before

    def test_unknown_figures_and_suffixes_are_refused(self, runs, tmp_path):
        with pytest.raises(UsageError, match="Did you mean 'parallel'"):
            tunewright.report("study", figure="paralel", runs_dir=runs)
        with pytest.raises(UsageError, match=r"ends in \.png"):
            tunewright.report("study", figure="history", output=tmp_path / "f.gif", runs_dir=runs)

    def test_a_folder_that_cannot_be_written_is_one_error(self, runs, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(NotWritten):
            tunewright.report("study", output=tmp_path / "file" / "r.html", runs_dir=runs)


def test_report_can_be_switched_off(tmp_path):
    tunewright.tune(
        parabola, X, *INLINE, "study.report=false", trials=2, name="study", goal="value",
        runs_dir=tmp_path,
    )  # fmt: skip
    assert not (tmp_path / "study" / "report.html").exists()


def test_names_and_values_are_shown_as_they_are(tmp_path):
    space = {"kind": {"type": "categorical", "choices": [EVIL, "b"]}, **X}
    tune(lambda params, report: params["x"], tmp_path, space)
    text = page(tmp_path)
    assert "<img src=x" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    shown(text)  # the JSON of each chart is whole


@pytest.mark.parametrize(
    "function",
    [
        lambda params, report: 1.0,
        lambda params, report: 1e30 * params["x"],
        lambda params, report: -1e-30,
    ],
    ids=["constant", "huge", "tiny"],
)
def test_scores_of_every_size(tmp_path, function):
    tune(function, tmp_path)
    assert "Score by trial" in shown(page(tmp_path))


def test_failures_are_listed_with_their_logs(tmp_path):
    def sometimes(params, report):
        if params["x"] > 0.5:
            raise ValueError(f"no column {EVIL}")
        return params["x"]

    tune(sometimes, tmp_path)
    text = page(tmp_path)
    assert "no column &lt;/script&gt;" in text
    assert '<h2 id="failures-title">' in text


def test_a_parameter_that_no_finished_trial_has(tmp_path):
    """Of a conditional parameter on a logarithmic scale, there were no ends to draw."""
    space = {
        "kind": {"type": "categorical", "choices": ["a", "b"], "default": "a"},
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True, "when": {"kind": ["b"]}},
        **X,
    }

    def fails_for_b(params, report):
        if params["kind"] == "b":
            raise ValueError("no b")
        return params["x"]

    tune(fails_for_b, tmp_path, space, trials=16)
    assert "All parameters at once" in shown(page(tmp_path))


def test_a_gain_of_a_goal_that_falls_is_told_in_one_direction(tmp_path):
    tune(lambda params, report: params["x"], tmp_path, goal="value:min")
    gain = re.search(r"gain over the defaults</span><b>([^<]*)</b>", page(tmp_path))
    assert re.fullmatch(r"0\.\d+ less", gain[1])


def test_several_goals_have_a_front(tmp_path):
    def both(params, report):
        return {"up": params["x"], "down": params["x"] ** 2}

    tune(both, tmp_path, goal=["up:max", "down:min"])
    assert "down and up" in shown(page(tmp_path))


def test_two_hundred_parameters(tmp_path):
    space = {f"p{n:03d}": {"type": "float", "low": 0, "high": 1} for n in range(200)}
    tune(lambda params, report: params["p000"], tmp_path, space, trials=12)
    charts = shown(page(tmp_path))
    assert len(charts) < 40


class TestForeignStudy:
    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path}/foreign.db"

    def study(self, url, optuna_storage, direction="maximize"):
        return optuna.create_study(
            storage=optuna_storage(url), study_name="their study/1", direction=direction
        )

    def test_any_optuna_study_has_a_report(self, url, optuna_storage, tmp_path, monkeypatch):
        def objective(trial):
            lr = trial.suggest_float("lr", 1e-5, 1.0, log=True)
            kind = trial.suggest_categorical("kind", ["a", None, True, 3])
            trial.report(lr, 1)
            if trial.number % 5 == 4:
                raise optuna.TrialPruned
            return math.inf if trial.number == 3 else lr + (kind == "a")

        self.study(url, optuna_storage).optimize(objective, n_trials=30)
        monkeypatch.chdir(tmp_path)
        written = tunewright.report(storage=url, name="their study/1")
        assert written.file.name == "their-study-1-report.html"
        charts = shown(written.file.read_text())
        assert charts["lr"]["layout"]["xaxis"]["type"] == "log"
        assert "Workers over time" in charts

    @pytest.mark.parametrize("trials", [0, 1])
    def test_few_trials_are_said(self, url, optuna_storage, tmp_path, trials):
        study = self.study(url, optuna_storage, "minimize")
        study.optimize(lambda trial: trial.suggest_int("n", 1, 3), n_trials=trials)
        file = tmp_path / "r.html"
        tunewright.report(storage=url, name="their study/1", output=file)
        text = file.read_text()
        assert ("No trial was begun." if trials == 0 else "best value") in text

    def test_all_failed(self, url, optuna_storage, tmp_path):
        def fails(trial):
            trial.suggest_float("x", 0, 1)
            raise ValueError("no data")

        self.study(url, optuna_storage).optimize(fails, n_trials=4, catch=(ValueError,))
        file = tmp_path / "r.html"
        tunewright.report(storage=url, name="their study/1", output=file)
        assert "No trial has finished yet." in file.read_text()


def test_a_run_has_a_report(tmp_path):
    tunewright.train(
        "pairs", "training.epochs=2", "executor.type=inline", name="one", runs_dir=tmp_path
    )
    written = tunewright.report(tmp_path / "one")
    charts = shown(written.file.read_text())
    assert "loss" in charts
    with pytest.raises(UsageError, match="the figures show several trials"):
        tunewright.report(tmp_path / "one", figure="history")
