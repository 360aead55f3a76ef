"""Searches by curves with several seeds, with trainings that diverge, and with several goals."""

from pathlib import Path

import pytest
from practice.quadratic.studies import tuned

from tunewright.runs.record import Trial
from tunewright.search.callbacks import StudyCallback
from tunewright.search.loop.curve_loop import _as_ended

CURVES = "study.sampler.type=curves"


class Heard(StudyCallback):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def test_only_trials_that_reach_the_end_are_run_with_all_seeds(tmp_path: Path) -> None:
    words = (CURVES, "study.trials=8", "training.epochs=8", "study.seeds=2")
    found = tuned(tmp_path, *words)
    done = found.record.of_state("done")
    assert len(done) == 3
    assert all(len(trial.seeds) == 2 for trial in done)
    left = found.record.of_state("pruned")
    assert len(left) == 5
    assert not any(trial.seeds for trial in left)
    second = list(found.folder.path.glob("trials/*/seed-*"))
    assert len(second) == 3


def test_the_mean_over_the_seeds_is_what_the_model_learns() -> None:
    trial = Trial(0, "done", {}, 0.6, {1: 0.1, 2: 0.8}, seeds={"0": 0.8, "1": 0.4})
    assert _as_ended(trial, 2).curve == {1: 0.1, 2: 0.6}
    one = Trial(0, "done", {}, 0.8, {1: 0.1, 2: 0.8})
    assert _as_ended(one, 2).curve == {1: 0.1, 2: 0.8}


@pytest.mark.parametrize("state", ["infeasible", "failed"])
def test_what_diverged_is_learned_as_infeasible_and_what_crashed_is_not(state: str) -> None:
    trial = Trial(0, state, {}, None, {1: 0.1})  # type: ignore[arg-type]
    seen = _as_ended(trial, 4)
    assert seen.feasible == (state == "failed")
    assert seen.own == (state == "infeasible"), "a crash says nothing of the configuration"
    assert seen.state == "ended"
