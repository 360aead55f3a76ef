"""What a search by curves learns of trials that have ended: several seeds, divergence, crashes."""

import pytest

from tunewright.runs.record import Trial
from tunewright.search.loop.curve_loop import _as_ended


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
