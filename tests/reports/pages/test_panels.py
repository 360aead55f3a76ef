"""Panels of the page of a study: costs, maps that a recipe names, pictures, head to tail."""

import re

from PIL import Image

from tunewright.analysis.overview import overview
from tunewright.recipes.registry import find_recipe
from tunewright.reports.pages.study_page import write_study_page
from tunewright.reports.study.contents import StudyContents
from tunewright.reports.study.kinds import write_figure
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.reporting.study_report import PICTURE_BYTES, read_evaluation

EVIL = "</script><img src=x onerror=alert(1)>"


def contents(trials=12, **named):
    made = tuple(
        Trial(
            n, "done", {"a": float(n % 3), "b": float(n % 4), "c": n / 10}, n / 20, {},
            started=1e9 + 60.0 * n, seconds=55.0, metrics={"energy_kwh": 0.01},
        )
        for n in range(trials)
    )  # fmt: skip
    record = StudyRecord("study", "own", "value", "max", made)
    return StudyContents(record, overview(record, {"c": 0.9, "a": 0.1}, top=3), **named)


def written(found, tmp_path):
    write_study_page(found, tmp_path / "report.html")
    return (tmp_path / "report.html").read_text()


def test_costs_and_gains_stand_in_tables(tmp_path):
    text = written(contents(on_gpu=True), tmp_path)
    assert "GPU-hours, one GPU a trial" in text
    assert "0.12 kWh" in text
    assert "Best score so far, by time" in text
    assert "gain an hour" in text
    assert "GPU-hours" not in written(contents(on_gpu=False), tmp_path)


def test_gains_are_a_figure(tmp_path):
    write_figure(contents(), "gains", tmp_path / "g.svg")
    assert "since the first trial began" in (tmp_path / "g.svg").read_text()


def test_a_pair_that_the_recipe_names_has_a_map_with_missing_cells(tmp_path):
    text = written(contents(9, pairs=(("a", "b"), ("a", "not searched"))), tmp_path)
    assert "<h3>Means by a and b</h3>" in text
    assert "3 of 12 cells have no run: blank." in text
    assert "not searched" not in text
    assert find_recipe("compression").heat_maps == (("balance.gamma", "balance.w_lr"),)


def test_pictures_of_an_evaluation_are_part_of_the_page(tmp_path):
    run = RunFolder(tmp_path / "final")
    run.path.mkdir()
    Image.new("RGB", (8, 8)).save(run.path / "retrieval.png")
    (run.path / "mistakes.png").write_text(EVIL)
    (run.path / "large.png").write_bytes(b"\x89PNG" + bytes(PICTURE_BYTES))
    files = ["retrieval.png", "mistakes.png", "large.png", "gone.png"]
    figures = {"split": "test", "metrics": {"recall_1": 0.5}, "files": files}
    found = read_evaluation("final model", run, figures, tmp_path)
    assert [picture.title[:9] for picture in found.pictures] == ["What is r"]
    text = written(contents(evaluation=found), tmp_path)
    assert 'src="data:image/png;base64,' in text
    assert re.search(r'alt="What is retrieved[^"]*"', text)
    assert 'href="final/large.png"' in text


def test_head_medium_and_tail_stand_beside_each_other(tmp_path):
    metrics = {"head_accuracy": 0.9, "medium_accuracy": 0.6, "tail_accuracy": 0.2}
    figures = {"split": "test", "metrics": metrics, "tail_accuracy_interval": [0.1, 0.3]}
    found = read_evaluation("final model", RunFolder(tmp_path), figures, tmp_path)
    assert "Head, medium and tail" in written(contents(evaluation=found), tmp_path)
    del metrics["tail_accuracy"]
    found = read_evaluation("final model", RunFolder(tmp_path), figures, tmp_path)
    assert "Head, medium and tail" not in written(contents(evaluation=found), tmp_path)
