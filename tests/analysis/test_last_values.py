"""Near-ties: two trials whose scores differ by less than their curves vary."""

import pytest

from tunewright.analysis.winner.last_values import compare_last_values, describe_last_values
from tunewright.runs.record import StudyRecord, Trial


def record(*curves: list[float], direction: str = "max") -> StudyRecord:
    trials = [
        Trial(n, "done", {}, score=curve[-1], curve=dict(enumerate(curve, 1)))
        for n, curve in enumerate(curves)
    ]
    return StudyRecord("study", "any", "val", direction, tuple(trials))  # type: ignore[arg-type]


STEADY = [0.5, 0.7, 0.80, 0.81, 0.80, 0.81]
LUCKY = [0.5, 0.7, 0.76, 0.72, 0.74, 0.815]


def test_the_steadier_one_of_two_is_ahead() -> None:
    study = record(STEADY, LUCKY, [0.1] * 6)
    found = compare_last_values(study)
    assert found is not None
    assert [trial.number for trial in found.trials] == [1, 0]
    assert found.means == pytest.approx((sum(LUCKY[-3:]) / 3, sum(STEADY[-3:]) / 3))
    assert "so that trial 0 is ahead" in describe_last_values(found, study)


def test_a_smaller_value_is_ahead_where_the_goal_is_minimised() -> None:
    study = record([-v for v in STEADY], [-v for v in LUCKY], direction="min")
    found = compare_last_values(study)
    assert found is not None
    assert "so that trial 0 is ahead" in describe_last_values(found, study)


def test_a_clear_lead_is_no_tie() -> None:
    assert compare_last_values(record(STEADY, [0.5, 0.6, 0.7, 0.71, 0.70, 0.71])) is None
    rising = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert compare_last_values(record(rising, [v - 0.05 for v in rising])) is None, "a mere trend"


def test_too_little_is_compared_with_nothing() -> None:
    assert compare_last_values(record(STEADY)) is None
    assert compare_last_values(record([0.5, 0.6], [0.5, 0.6])) is None
    assert compare_last_values(record()) is None
