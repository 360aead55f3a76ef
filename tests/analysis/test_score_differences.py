"""Differences of scores and their intervals: paired, by groups, of two measurements."""

import math

import numpy as np
import pytest

from tunewright.analysis.score_differences import (
    ScoreDifference,
    grouped_difference,
    interval_of_difference,
    paired_difference,
    separate_difference,
)


def paired(first, second, direction="max"):
    return paired_difference("of", "m", direction, first, second, "class")


def test_a_paired_difference_is_student_t_over_shared_units():
    found = paired({"a": 1.0, "b": 2.0, "c": 3.0, "x": 9.0}, {"b": 2.5, "a": 1.1, "c": 3.6})
    assert found.first == pytest.approx(2.0)
    assert found.value == pytest.approx(0.4)
    error = np.std([0.1, 0.5, 0.6], ddof=1) / math.sqrt(3)
    assert found.high == pytest.approx(0.4 + 4.302653 * error, rel=1e-6)  # t with 2 degrees
    assert found.low == pytest.approx(0.4 - 4.302653 * error, rel=1e-6)
    assert found.verdict == "tied"
    assert found.method == "paired over 3 classes"


def test_pairs_see_what_groups_do_not():
    """What is hard for both cancels: the same scores are apart by pairs, tied by groups."""
    first = {seed: float(seed) for seed in range(5)}
    second = {seed: seed + 0.1 + 0.001 * seed for seed in range(5)}
    assert paired(first, second).verdict == "better"
    grouped = grouped_difference("of", "m", "max", [*first.values()], [*second.values()])
    assert grouped.verdict == "tied"
    assert grouped.value == pytest.approx(paired(first, second).value)


@pytest.mark.parametrize(("direction", "verdict"), [("max", "worse"), ("min", "better")])
def test_the_verdict_knows_the_direction(direction, verdict):
    first = {seed: 1.0 + 0.01 * (seed % 2) for seed in range(6)}
    assert paired(first, dict.fromkeys(first, 0.5), direction).verdict == verdict


def test_equal_scores_are_tied_and_a_shift_without_spread_has_no_interval():
    same = {"a": 0.5, "b": 0.7}
    assert paired(same, same).verdict == "tied"
    shifted = paired(same, {"a": 0.6, "b": 0.8})
    assert (shifted.low, shifted.verdict) == (None, "")
    assert "same amount" in shifted.why


def test_units_without_a_finite_score_are_left_out():
    assert paired({"a": math.nan, "b": 1.0}, {"a": 1.0, "b": 1.0}) is None
    assert paired({"a": 1.0}, {"b": 1.0}) is None


def test_grouped_intervals_cover_the_truth():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        found = grouped_difference(
            "of", "m", "max", [*rng.normal(0, 1, 3)], [*rng.normal(0.5, 3, 5)]
        )
        held += found.low <= 0.5 <= found.high
    assert 0.92 <= held / 400 <= 0.99


def test_two_measurements_add_their_reaches_at_a_right_angle():
    assert interval_of_difference(1.0, (0.7, 1.4), 2.0, (1.6, 2.3)) == pytest.approx(
        (1.0 - math.hypot(0.4, 0.4), 1.0 + math.hypot(0.3, 0.3))
    )
    missing = separate_difference("of", "m", "max", (1.0, 2.0), (None, (1.0, 3.0)))
    assert (missing.value, missing.verdict, missing.why) == (1.0, "", "a score has no interval")


def test_json_holds_the_verdict():
    assert ScoreDifference("of", "m", "max", 1, 2, 1, 0.5, 1.5).as_json()["verdict"] == "better"
