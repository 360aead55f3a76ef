"""What the first screen of a study's page says."""

import re

import pytest

from tunewright.analysis.history import gain_over
from tunewright.analysis.overview import overview
from tunewright.reports.pages.study_page import write_study_page
from tunewright.reports.study.contents import StudyContents
from tunewright.reports.study.parameter_charts import slices
from tunewright.runs.record import StudyRecord, Trial


@pytest.mark.parametrize(("direction", "way"), [("max", "more"), ("min", "less")])
def test_a_gain_and_its_interval_have_one_direction(tmp_path, direction, way):
    sign = 1.0 if direction == "max" else -1.0

    def trial(number, score):
        ends = sorted((sign * (score - 0.05), sign * (score + 0.05)))
        return Trial(number, "done", {"x": number}, sign * score, {}, interval=tuple(ends))

    record = StudyRecord("study", "own", "value", direction, (trial(0, 0.5), trial(1, 0.7)))
    shown = overview(record, {}, top=2)
    gain = gain_over(record.trials[0], record)
    write_study_page(StudyContents(record, shown, gain=gain), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    card = re.search(r"gain over the defaults</span><b>(.*?)</b><span[^>]*>(.*?)</span>", text)
    assert card[1] == f"0.2 {way}"
    assert card[2].startswith(f"95 % interval 0.129 to 0.271 {way};")


@pytest.mark.parametrize(
    ("low", "lead"), [(0.01, "The ensemble is better."), (-0.01, "may do as well")]
)
def test_the_best_ensemble_stands_beside_the_best_trial(tmp_path, low, lead):
    record = StudyRecord(
        "study", "longtail", "val_accuracy", "max", (Trial(0, "done", {"x": 0}, 0.7, {}),)
    )
    member = {"trial": 0, "name": "trial <0>", "score": 0.7, "weight": 1.0, "has_weights": False}
    found = {
        "best": member,
        "candidates": 4,
        "members": [member],
        "metric": "accuracy",
        "notes": ["trial 2 is left out: damaged"],
        "gain": {"value": 0.02, "low": low, "high": 0.03, "ensemble": 0.72, "single": 0.7,
                 "pictures": 99},
    }  # fmt: skip
    contents = StudyContents(record, overview(record, {}, top=1), ensemble=found)
    write_study_page(contents, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    for words in (
        lead,
        "+0.0200",
        f"{low:+.4f} to +0.0300",
        "trial &lt;0&gt;",
        "left out: damaged",
    ):
        assert words in text
    assert "tunewright ensemble study" in text
    assert "1 of these did not" in text


@pytest.mark.parametrize("log", [None, False, True])
def test_an_axis_has_the_scale_of_the_space(log):
    values = [0.0005, 0.01, 0.2, 0.9]
    trials = tuple(Trial(n, "done", {"x": x, "y": x}, x, {}) for n, x in enumerate(values))
    record = StudyRecord("study", "own", "value", "max", trials)
    domains = {} if log is None else {p: {"low": 0.0, "high": 1.0, "log": log} for p in "xy"}
    contents = StudyContents(record, overview(record, {"x": 0.6, "y": 0.4}, top=1), domains)
    expected = True if log is None else log  # without a space the numbers decide
    assert [chart.x.log for chart in slices(contents)] == [expected, expected]
