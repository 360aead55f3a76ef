"""The page of a study in a real browser: charts are drawn in the reader's colours, at any width."""

import re
import shutil
import subprocess
from dataclasses import replace
from itertools import product

import pytest

from tunewright.analysis.findings.finding import Finding
from tunewright.analysis.overview import overview
from tunewright.reports.pages.study_page import write_study_page
from tunewright.reports.study.contents import Command, StudyContents
from tunewright.runs.record import StudyRecord, Trial

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
EVIL = "</script><script>document.title = 'hit'</script> \U0001f600"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    trials = tuple(
        Trial(
            number,
            "pruned" if number % 3 == 2 else "done",
            {"lr": 10 ** -(1 + number / 10), "kind": ["a", EVIL][number % 2], "depth": number % 5},
            None if number % 3 == 2 else number / 40,
            {step: step * number / 400 for step in range(1, 6)},
            started=1e9 + 5 * number,
            seconds=8.0,
            interval=(number / 40 - 0.1, number / 40 + 0.1),
        )
        for number in range(40)
    )
    record = StudyRecord(EVIL, "own", "value", "max", trials)
    shown = overview(record, {"lr": 0.7, "kind": 0.2, "depth": 0.1}, top=10)
    said = Finding("edge", EVIL, "evidence", "size", "sure", "tunewright tune own", 0.5)
    shown = replace(shown, findings=[said])
    contents = StudyContents(
        record,
        shown,
        commands=[Command("Do:", "tunewright train x.yaml")],
    )
    file = tmp_path_factory.mktemp("page") / "report.html"
    write_study_page(contents, file)
    return file


@pytest.mark.parametrize(("width", "dark"), list(product([500, 1280], [False, True])))
def test_charts_are_drawn(page, tmp_path, width, dark):
    scheme = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *scheme,
            f"--user-data-dir={tmp_path}", f"--window-size={width},12000",
            "--virtual-time-budget=20000", "--enable-logging=stderr", "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=200, check=True,
    )  # fmt: skip
    assert "Uncaught" not in done.stderr
    assert "<title>hit" not in done.stdout
    places = re.findall(r'<div class="plot(?: js-plotly-plot)?"[^>]*>', done.stdout)
    assert len(places) >= 10
    assert [place for place in places if 'data-drawn="yes"' not in place] == []
    assert done.stdout.count("main-svg") >= len(places)
    ink = "rgb(228, 234, 238)" if dark else "rgb(34, 49, 63)"
    assert ink in done.stdout
