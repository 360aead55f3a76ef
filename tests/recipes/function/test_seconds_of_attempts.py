"""The seconds of a function that is called again after a pause."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tunewright.recipes.function.report import Report
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import ProgressWriter
from tunewright.runs.record import Progress


def report_of(folder: RunFolder, attempt: int) -> Report:
    reporter: Any = SimpleNamespace(folder=folder, attempt=attempt, begin=lambda _step: None)
    return Report(reporter, goal="value", last_step=9)


@pytest.mark.parametrize(("resumed", "earlier"), [(0, 0.0), (2, 70.0), (3, 100.0)])
def test_seconds_count_the_steps_that_an_attempt_goes_on_from(
    tmp_path: Path, resumed: int, earlier: float
) -> None:
    folder = RunFolder(tmp_path)
    writer = ProgressWriter(folder.progress, 1, 0)
    for step, seconds in ((1, 40.0), (2, 70.0), (3, 100.0)):
        writer.write(Progress(1, step, {"value": 0.1}, seconds))
    writer.close()
    report = report_of(folder, attempt=2)
    report.begin(resumed)
    assert earlier <= report.seconds < earlier + 30.0


def test_a_first_attempt_begins_at_none(tmp_path: Path) -> None:
    report = report_of(RunFolder(tmp_path), attempt=1)
    report.begin(0)
    assert report.seconds < 30.0
