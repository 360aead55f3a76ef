"""What a notebook shows: summaries of studies, trainings and evaluations, and their reports."""

import pytest

import tunewright
from tunewright.reports.notebook import address, best_so_far_svg, study_summary, table
from tunewright.reports.report_file import ReportFile
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome, StudyRecord, Trial
from tunewright.search.evaluate_run import Evaluation
from tunewright.search.training_run import TrainResult

EVIL = "</script><img src=x onerror=alert(1)> \U0001f600\x1b[2J"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    space = {name: {"type": "float", "low": 0.0, "high": 1.0} for name in ("x", "y")}
    return tunewright.tune(
        lambda params, report: -((params["x"] - 0.3) ** 2), space, "executor.type=inline",
        "study.pruner.type=none", goal="value:max", trials=14, name="own",
        runs_dir=tmp_path_factory.mktemp("runs"),
    )  # fmt: skip


def test_a_study_shows_its_best_trial_and_a_picture(tuned):
    page = tuned._repr_html_()
    assert "Study own: 14 trials (14 done)" in page
    assert f"trial {tuned.record.best.number}" in page
    assert '<svg role="img" aria-label="best value so far' in page
    assert "report.html" in page
    assert len(page) < 20_000


def test_a_study_writes_its_report(tuned, tmp_path):
    assert tuned.report().file == tuned.folder.report
    written = tuned.report(figure="history", output=tmp_path / "h.png")
    assert written._repr_html_().startswith("<img")
    assert '<iframe src="' in tuned.report(output=tmp_path / "r.html")._repr_html_()


def test_an_analyzed_study_shows_findings(tuned):
    page = tunewright.analyze(tuned.folder.path)._repr_html_()
    assert "Study own" in page
    assert "importance" in page


def test_names_are_escaped_and_long_texts_cut():
    trials = (
        Trial(0, "done", {EVIL: EVIL, "long": "x" * 10_000}, 0.5, {}),
        Trial(1, "done", {EVIL: EVIL}, 0.7, {}),
    )
    page = study_summary(StudyRecord(EVIL, "own", EVIL, "max", trials))
    assert "<img" not in page
    assert "\x1b" not in page
    assert "&lt;img" in page
    many = table(("a", "b"), [(str(row), "y" * 500) for row in range(1000)])
    assert "and 970 more" in many
    assert len(many) < 15_000


@pytest.mark.parametrize("scores", [[], [0.5], [0.5, 0.5], [1e300, -1e300], [0.1, 0.2, 0.3]])
def test_any_study_has_a_summary(scores):
    trials = tuple(Trial(n, "done", {"x": n}, score, {}) for n, score in enumerate(scores))
    record = StudyRecord("s", "", "value", "max", trials)
    assert "Study s" in study_summary(record)
    assert ("<svg" in best_so_far_svg(record)) is (len(scores) == 3)


def test_a_training_and_an_evaluation_show_their_scores(tmp_path):
    folders = tuple(RunFolder(tmp_path / f"seed-{seed}") for seed in (1, 2))
    for folder in folders:
        folder.write_config({"recipe": "flowers", "training": {"epochs": 3}})
    outcome = Outcome("done", 1, best_step=2, seconds=70.0, interval=(0.4, 0.6), notes=(EVIL,))
    page = TrainResult("val_accuracy", folders, (outcome, outcome), (0.5, 0.6))._repr_html_()
    assert "Training, val_accuracy: 0.55 ± 0.070711" in page
    assert "0.4 .. 0.6" in page
    assert "<img" not in page
    figures = {
        "split": "test", "metrics": {"accuracy": 0.5}, "accuracy_interval": [0.4, 0.6],
        "baselines": {EVIL: {"accuracy": 0.1}}, "notes": [EVIL], "files": ["evaluation.json"],
    }  # fmt: skip
    evaluation = Evaluation(folders[0], figures)
    page = evaluation._repr_html_()
    assert "0.4 .. 0.6" in page
    assert "<img" not in page
    assert "evaluation.json</a>" in page
    assert evaluation.report().file == folders[0].path / "report.html"


def test_files_in_the_working_folder_have_relative_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert address(tmp_path / "a b#.html") == "a%20b%23.html"
    assert address(tmp_path.parent / "c.html").startswith("file://")
    assert 'src="r.html"' in ReportFile("s", tmp_path / "r.html")._repr_html_()
