"""What the first screen of a study's page says."""

import re

import pytest

from tunewright.analysis.history import gain_over
from tunewright.analysis.overview import overview
from tunewright.reports.pages.study_page import write_study_page
from tunewright.reports.study.contents import StudyContents
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
