"""The best score so far, what was gained over the defaults, and who worked when."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.analysis.history import best_so_far, default_trial, gain_over, timeline
from tunewright.runs.record import StudyRecord, Trial


def trial(number, score=None, state="done", **fields):
    parameters = fields.pop("parameters", {})
    return Trial(number, state, parameters, score, {}, **fields)


def record(*trials, direction="max"):
    return StudyRecord("study", "own", "value", direction, trials)


def test_the_best_so_far_never_gets_worse():
    trials = [trial(0, 1.0), trial(1, 0.5), trial(2, 9.0, "infeasible"), trial(3, 2.0)]
    assert best_so_far(record(*trials)) == [(0, 1.0), (3, 2.0)]
    assert best_so_far(record(*trials, direction="min")) == [(0, 1.0), (1, 0.5)]


def test_a_gain_adds_the_reaches_of_both_scores_towards_each_other():
    default = trial(0, 0.80, interval=(0.76, 0.83))
    best = trial(1, 0.90, interval=(0.86, 0.92))
    gain = gain_over(default, record(default, best))
    assert gain.value == pytest.approx(0.10)
    assert gain.low == pytest.approx(0.10 - math.hypot(0.04, 0.03))
    assert gain.high == pytest.approx(0.10 + math.hypot(0.02, 0.04))
    assert not gain.is_tie


def test_a_gain_is_the_same_for_a_goal_that_falls():
    default = trial(0, -0.80, interval=(-0.83, -0.76))
    best = trial(1, -0.90, interval=(-0.92, -0.86))
    found = gain_over(default, record(default, best, direction="min"))
    assert found.value == pytest.approx(0.10)
    assert found.low == pytest.approx(0.10 - math.hypot(0.04, 0.03))


def test_a_small_gain_is_a_tie_and_none_is_zero():
    default = trial(0, 0.80, interval=(0.70, 0.90))
    best = trial(1, 0.81, interval=(0.71, 0.91))
    assert gain_over(default, record(default, best)).is_tie
    assert gain_over(default, record(default)).value == 0.0
    assert gain_over(None, record(default)) is None
    assert gain_over(trial(0, None, "pruned"), record(best)) is None


def test_the_defaults_are_the_first_trial_only_if_it_tried_them():
    first = trial(0, 1.0, parameters={"lr": 0.1, "depth": 3})
    assert default_trial(record(first), {"lr": 0.1}) is first
    assert default_trial(record(first), {"lr": 0.2}) is None
    assert default_trial(record(trial(0, 1.0, good="known")), {}) is None
    assert default_trial(record(trial(0, 1.0, imported_from="other/1"), first), {}) is first


def test_idle_time_leaves_out_what_all_workers_paused():
    """A study that was stopped overnight had no idle workers."""
    began = [trial(0, started=0.0, seconds=10.0), trial(1, started=0.0, seconds=5.0)]
    next_day = trial(2, started=86_400.0, seconds=10.0)
    found = timeline(record(*began, next_day))
    assert len(found.lanes) == 2
    assert found.idle == pytest.approx(1 - 25 / (20 * 2))
    assert timeline(record(trial(0, 1.0))) is None


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.floats(0.1, 100)), min_size=1, max_size=40),
)
def test_lanes_hold_every_trial_once_without_overlap(spans):
    trials = [trial(n, started=start, seconds=took) for n, (start, took) in enumerate(spans)]
    found = timeline(record(*trials))
    assert sorted(t.number for lane in found.lanes for t in lane.trials) == list(range(len(spans)))
    for lane in found.lanes:
        for before, after in zip(lane.trials, lane.trials[1:], strict=False):
            assert before.started + before.seconds <= after.started
    at_once = max(sum(s <= start < s + took for s, took in spans) for start, _ in spans)
    assert len(found.lanes) == at_once
    assert 0.0 <= found.idle <= 1.0
