"""When the scores of a study can tell what mattered."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.analysis.importances import (
    FEWEST,
    nothing_to_explain,
    rarely_set,
    varying_parameters,
)
from tunewright.analysis.overview import overview
from tunewright.runs.record import StudyRecord, Trial


def record(scores, direction="max", parameters=None):
    trials = [
        Trial(n, "done", parameters(n) if parameters else {"x": n / 100, "y": -n}, score, {})
        for n, score in enumerate(scores)
    ]
    return StudyRecord("flat", "function", "value", direction, tuple(trials))


RANKED = [0.01 * n for n in range(30)]


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        ([], "no trial has completed"),
        ([0.25], "1 completed, and with fewer than 11"),
        ([0.5] * 15, "every score is 0.5: nothing to explain"),
        ([0.1 + 0.2, 0.3] * 10, "every score is 0.3: nothing to explain"),
        ([-3.0] * 3, "every score is -3: nothing to explain"),
        (RANKED[: FEWEST - 1], "10 completed, and with fewer than 11"),
        ([1.0] * 7 + [0.0] * 13, "every score is 1 or 0: two scores do not rank"),
        ([0.25] * 19 + [0.5], "every score is 0.5 or 0.25: two scores do not rank"),
        ([0.9] * 20 + RANKED, ""),
        ([0.9] * 40 + RANKED, "40 of 70 scores are 0.9 or better"),
        ([1.0] + [0.9] * 40 + RANKED, "41 of 71 scores are 0.9 or better"),
        (RANKED, ""),
    ],
)
def test_scores_that_say_nothing_are_named(scores, why):
    for direction, sign in (("max", 1.0), ("min", -1.0)):
        told = nothing_to_explain(record([sign * score for score in scores], direction))
        assert told == "" if not why else told.replace("-", "").startswith(why.replace("-", ""))


def test_a_parameter_that_two_trials_have_is_not_judged():
    found = record(RANKED, parameters=lambda n: {"x": n, "y": -n} | ({"z": n} if n < 2 else {}))
    assert varying_parameters(found) == ["x", "y"]
    assert rarely_set(found) == ["z"]
    notes = overview(found, {"x": 0.5, "y": 0.5}, top=1).importance_notes
    assert "not ranked, because fewer than 11 trials set them: z" in notes


def test_a_parameter_that_never_varied_is_not_judged():
    def constant(n):
        return (
            {"x": n, "y": 0.5, "z": [1, 2], "late": 3} if n % 2 else {"x": n, "y": 0.5, "z": [1, 2]}
        )

    found = record(RANKED, parameters=constant)
    assert varying_parameters(found) == ["x"]
    assert nothing_to_explain(found).startswith("only x differs")
    none = record(RANKED, parameters=lambda n: {"y": 0.5})
    assert nothing_to_explain(none).startswith("no parameter differs")


def test_a_parameter_without_end_is_not_judged():
    found = record(RANKED, parameters=lambda n: {"x": n, "y": n % 3, "clip": n or math.inf})
    assert varying_parameters(found) == ["x", "y"]
    assert nothing_to_explain(found) == ""


def test_the_overview_says_why_there_are_none_or_what_was_left_out():
    flat = overview(record([0.5] * 60), {}, top=3)
    assert flat.importances == {}
    assert flat.importance_notes == ["no importances: every score is 0.5: nothing to explain"]
    told = overview(record(RANKED * 2), {"x": 1.0}, top=3)
    [left_out] = told.importance_notes
    assert left_out.endswith("do not differ in them: y")


@given(
    st.floats(-1e9, 1e9, allow_subnormal=False).filter(bool),
    st.lists(st.integers(-3, 3), min_size=2, max_size=30),
)
def test_one_number_rounded_in_many_ways_is_one_score(number, roundings):
    scores = []
    for away in roundings:
        score = number
        for _ in range(abs(away)):
            score = math.nextafter(score, math.copysign(math.inf, away))
        scores.append(score)
    assert nothing_to_explain(record(scores)).startswith("every score is ")
