"""`study.budget`: the whole job ends in time, whatever fits into it."""

import importlib
import time
from pathlib import Path

import pytest
from practice.quadratic.studies import tuned

from tunewright.config.schema import ExecutorConfig
from tunewright.errors import ConfigError
from tunewright.runs.folder import RunFolder
from tunewright.search.callbacks import StudyCallback
from tunewright.search.forecast.budget import Budget
from tunewright.search.forecast.time_left import FinalStageCost
from tunewright.search.forecast.timings import Timings

SLOW = ("study.final=true", "study.pruner.type=none", "study.trials=1000", "epoch_seconds=0.05")

SLACK = 4.0
"""Seconds that a busy machine may take for what is no work of ours."""


class Notices(StudyCallback):
    """Keeps what a study said."""

    def __init__(self) -> None:
        self.said = ""

    def notice(self, text: str) -> None:
        self.said += f"{text}\n"


class Desk:
    """Timings of one trial of 10 s in 10 epochs behind it, at a time of one's choice."""

    def __init__(self, *, budget: float, final_epochs: int = 20, replicate: float = 0.0) -> None:
        self.now = 0.0
        clock = lambda: self.now  # noqa: E731
        closing = FinalStageCost(final_epochs, replicate=replicate)
        self.timings = Timings(10, 100, closing=closing, clock=clock)
        self.budget = Budget(budget, 0.0, clock)
        self.number = 0

    def trial(self) -> bool:
        """Whether it ran to its end; else the search was over at one of its epochs."""
        best = self.number - 1 if self.number else None
        self.timings.start_trial(self.number)
        for step in range(1, 11):
            self.now += 1.0
            self.timings.record_report(self.number, step, float(step))
            if self.ends(best):
                return False
        self.timings.end_trial(self.number, "done", 10.0)
        self.number += 1
        return True

    def ends(self, best: int | None = 0) -> bool:
        return self.budget.ends_search(self.timings, best, ExecutorConfig())


@pytest.fixture(scope="module", autouse=True)
def torch_is_imported() -> None:
    """Which takes longer than the budgets below, and counts, as all that a call does."""
    importlib.import_module("tunewright.job")


def test_the_search_leaves_time_for_the_final_training() -> None:
    desk = Desk(budget=60.0)
    while desk.trial():
        pass
    # 20 epochs of a second and one to pause, a tenth in reserve, two for workers and files: 25.1
    assert desk.now == 35.0
    desk.now = 37.0  # paused
    assert desk.budget.allows(StudyCallback())


def test_the_search_leaves_time_for_the_replicates_too() -> None:
    """Half of all trainings: as many replicates as trials and the final training are worth."""
    desk = Desk(budget=200.0, replicate=0.5)
    while desk.trial():
        pass
    pace = desk.timings.pace()
    assert pace is not None
    replicates = desk.timings.replicates(pace, so_far=True)
    assert replicates == desk.number + 2  # the final training is worth two trials
    assert desk.now >= 60.0
    assert desk.now + 10.0 * replicates + 20.0 <= 200.0
    until = desk.budget.replicate_until(0.5)
    assert until <= desk.now + 0.5 * 200.0
    assert until + 20.0 <= 200.0


def test_replicates_that_never_fit_do_not_end_the_search() -> None:
    desk = Desk(budget=60.0, replicate=0.9)
    while desk.trial():
        pass
    assert desk.now == 35.0, "as without them: the final training fits"


def test_too_few_replicates_take_no_time() -> None:
    desk = Desk(budget=60.0, replicate=0.1)
    desk.trial()
    pace = desk.timings.pace()
    assert pace is not None
    assert desk.timings.replicates(pace, so_far=True) == 0
    assert desk.timings.replicates(pace) == 11  # of 100 trials and the final training
    assert desk.timings.replicate_seconds(pace) == pytest.approx(110.0)


def test_without_a_finished_trial_there_is_nothing_to_leave_time_for() -> None:
    desk = Desk(budget=60.0)
    desk.trial()
    desk.now = 50.0
    assert not desk.ends(None)
    desk.now = 59.5
    assert desk.ends(None)


def test_a_final_training_that_never_fits_does_not_end_the_search() -> None:
    desk, notices = Desk(budget=60.0, final_epochs=500), Notices()
    desk.trial()
    assert not desk.ends()
    desk.now = 59.5
    assert desk.ends()
    assert not desk.budget.allows(notices)
    assert "the best trial's own weights and best_config.yaml" in notices.said


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_search_in_a_budget_ends_with_a_winner_trained_in_full(
    tmp_path: Path, executor: str
) -> None:
    words = [*SLOW, f"executor.type={executor}"]
    tuned(tmp_path / "warm", *words, "study.trials=1")  # the first workers import torch
    began = time.monotonic()
    found = tuned(tmp_path, *words, "study.budget=8s")
    took = time.monotonic() - began
    assert found.ending == "timed out"
    assert found.final is not None
    assert found.final.outcomes[0].state == "done"
    assert 1 <= len(found.record.of_state("done")) < 1000
    assert took < 8.0 + SLACK
    for trial in found.record.of_state("running"):
        outcome = found.folder.trial(trial.number).read_outcome()
        assert outcome is not None
        assert outcome.state == "paused"


@pytest.mark.slow
def test_the_budget_counts_a_call_and_the_next_one_goes_on(tmp_path: Path) -> None:
    notices = Notices()
    first = tuned(tmp_path, *SLOW, "study.budget=6")
    second = tuned(tmp_path, *SLOW, "study.budget=6", watch=notices)
    assert len(second.record.of_state("done")) > len(first.record.of_state("done"))
    assert second.final is not None, notices.said


@pytest.mark.slow
def test_without_time_for_a_final_training_the_best_trial_is_the_result(tmp_path: Path) -> None:
    notices = Notices()
    began = time.monotonic()
    found = tuned(
        tmp_path, *SLOW, "training.epochs=2000", "+stages.explore.training.epochs=8",
        "study.budget=3", watch=notices,
    )  # fmt: skip
    assert time.monotonic() - began < 3.0 + SLACK
    assert found.final is None
    assert found.record.best is not None
    assert "the best trial's own weights" in notices.said
    assert found.folder.best_config.exists()
    assert found.folder.trial(found.record.best.number).checkpoints.exists()
    assert not RunFolder(found.folder.final.path).config.exists()


@pytest.mark.slow
def test_a_final_training_that_takes_longer_than_foretold_is_paused(tmp_path: Path) -> None:
    """It was foretold from a fast trial; the same command goes on with it."""
    notices = Notices()
    words = [w for w in SLOW if "trials" not in w and "epoch_seconds" not in w]
    slower = ["+stages.final.epoch_seconds=1.0", "study.trials=1", "training.epochs=6"]
    found = tuned(tmp_path, *words, *slower, "epoch_seconds=0.01", "study.budget=4", watch=notices)
    assert found.final is None
    assert "paused at the end of the budget" in notices.said
    paused = found.folder.final.read_outcome()
    assert paused is not None
    assert paused.state == "paused"
    found = tuned(tmp_path, *words, *slower, "epoch_seconds=0.01")
    assert found.final is not None


def test_a_budget_that_is_no_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"study\.budget.*1h30m"):
        tuned(tmp_path, "study.budget='8 miles'")
