"""What the first screen says of replicates: read as text, without a browser."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from tunewright.analysis.overview import overview
from tunewright.analysis.winner.choose import choose
from tunewright.analysis.winner.race import run_race
from tunewright.analysis.winner.replicates import Arm
from tunewright.analysis.winner.replication import Replication, summarise
from tunewright.reports.pages.study_page import write_study_page
from tunewright.reports.study.contents import StudyContents
from tunewright.runs.record import Goal, StudyRecord, Trial

SCORES = {0: 0.50, 3: 0.82, 5: 0.80, 6: 0.79}
ARMS = [
    Arm(3, 0.82, {1042: 0.70, 1043: 0.77}),
    Arm(5, 0.80, {1042: 0.75, 1043: 0.76}),
    Arm(6, 0.79, {1042: 0.71}, failure="seed 1043: <b>NaN</b>"),
    Arm(0, 0.50, {1042: 0.50, 1043: 0.51}, is_default=True, among_best=False),
]


@pytest.fixture(scope="module")
def found() -> Replication:
    state = run_race(ARMS, [1042, 1043], 8)
    choice = choose(ARMS, state, list(SCORES.values()))
    facts = {"share": 0.15, "affordable": 8, "spent": 7}
    return summarise(Goal("accuracy", "max"), ARMS, state, choice, **facts)


@pytest.fixture(scope="module")
def page(found: Replication, tmp_path_factory: pytest.TempPathFactory) -> str:
    trials = tuple(Trial(n, "done", {"x": n}, score, {}) for n, score in SCORES.items())
    record = StudyRecord("study", "own", "accuracy", "max", trials, replicated=found.winner)
    shown = replace(overview(record, {}, top=4), replication=found)
    file: Path = tmp_path_factory.mktemp("page") / "report.html"
    write_study_page(StudyContents(record, shown), file)
    return file.read_text(encoding="utf-8")


def card(page: str, name: str) -> tuple[str, str]:
    """The figure and the remark of a card."""
    match = re.search(rf"{name}</span><b>(.*?)</b><span[^>]*>(.*?)</span>", page)
    assert match is not None, name
    return unescape(match[1]), unescape(match[2])


def test_the_first_screen_is_about_the_winner_of_the_replicates(found, page) -> None:
    assert found.winner == 5
    arm = found.arm(5)
    figure, remark = card(page, "accuracy of the winner")
    assert figure == f"{arm.value:.5g}"
    assert remark == (
        f"95 % interval {arm.low:.4g} to {arm.high:.4g} over 2 new seeds, corrected for having "
        "been selected"
    )
    assert card(page, "trial of the winner")[0] == "5"
    assert ">5</td>" in page.split("<caption>Configuration of the winner")[1][:600]


def test_the_optimism_of_the_search_has_an_interval(found, page) -> None:
    figure, remark = card(page, "best score of the search")
    assert figure == "0.82"
    low, high = found.optimism.low, found.optimism.high
    assert remark.startswith("trial 3: ")
    assert remark.endswith(f"better than its replicates ({low:.3g} to {high:.3g})")
    assert "The best score of the search was 0.82 (trial 3)" in page


def test_the_gain_over_the_defaults_is_that_of_the_replicates(found, page) -> None:
    figure, remark = card(page, "gain over the defaults")
    assert figure == f"{found.gain.value:.4g} more"
    assert remark.endswith("seed by seed")


def test_ties_and_every_replicate_are_listed_and_escaped(found, page) -> None:
    assert set(found.tied) == {3, 5}
    assert "Tied: the replicates do not tell trial 5 from trial 3." in page
    table = page.split("<caption>Replicates")[1]
    for text in ("winner", "tied", "the defaults, clearly worse after 2", "1042: 0.75, 1043: 0.76"):
        assert text in table
    assert "<b>NaN</b>" not in page
    assert "&lt;b&gt;NaN&lt;/b&gt;" in table
    assert "7 replicates, of 8 that study.replicate=0.15 allows" in table


def test_replicates_without_a_winner_leave_the_best_score(found, tmp_path: Path) -> None:
    trials = tuple(Trial(n, "done", {"x": n}, score, {}) for n, score in SCORES.items())
    record = StudyRecord("study", "own", "accuracy", "max", trials)
    none = replace(found, winner=None, tied=(), optimism=None, gain=None)
    shown = replace(overview(record, {}, top=4), replication=none)
    write_study_page(StudyContents(record, shown), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert card(page, "best accuracy")[0] == "0.82"
