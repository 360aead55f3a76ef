"""Which of several trials is better, when rounding is no difference."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from tunewright.runs.record import Goal, StudyRecord, Trial, is_same, rank_with_ties


def finished(rows, first="max", second="min"):
    trials = tuple(Trial(n, "done", {}, a, {}, others={"b": b}) for n, (a, b) in enumerate(rows))
    return StudyRecord("s", "r", "a", first, trials, (Goal("b", second),))


def rounded(number, away):
    for _ in range(abs(away)):
        number = math.nextafter(number, math.copysign(math.inf, away))
    return number


GRID = st.tuples(st.integers(-4, 4), st.integers(-4, 4))
AWAY = st.tuples(st.integers(-3, 3), st.integers(-3, 3))
ROWS = st.lists(st.tuples(GRID, AWAY), min_size=1, max_size=20)


@given(ROWS, st.sampled_from(["max", "min"]), st.sampled_from(["max", "min"]))
def test_rounding_changes_neither_front_nor_order(rows, first, second):
    exact = [(a / 7 + 0.1, b / 3 - 0.2) for (a, b), _ in rows]
    near = [tuple(map(rounded, row, away)) for row, (_, away) in zip(exact, rows, strict=True)]
    plain, blurred = finished(exact, first, second), finished(near, first, second)
    assert [t.number for t in plain.front()] == [t.number for t in blurred.front()]
    assert [t.number for t in plain.rank_trials()] == [t.number for t in blurred.rank_trials()]
    assert plain.best.number == blurred.best.number


@given(st.lists(st.floats(-1e6, 1e6), max_size=30))
def test_places_follow_the_numbers_and_tell_apart_what_is_apart(column):
    found = [place for (place,) in rank_with_ties([(value,) for value in column])]
    for value, own in zip(column, found, strict=True):
        for other, its in zip(column, found, strict=True):
            assert (own <= its) or value >= other
            assert own != its or is_same(value, other) or value == other
    assert set(found) == set(range(len(set(found))))


def test_small_numbers_are_not_all_alike():
    """Losses of 1e-20 and 1e-19 are far apart."""
    assert rank_with_ties([(1e-20,), (1e-19,), (0.0,), (-1e-20,)]) == [(2,), (3,), (1,), (0,)]


def test_two_roundings_of_one_number_do_not_both_stand_on_the_front():
    rows = [(0.006944444444444445, 10.0), (0.006944444444444444, 12.0), (0.0069, 3.0)]
    assert [t.number for t in finished(rows).front()] == [0, 2]
    assert [t.number for t in finished(rows[::-1]).front()] == [2, 0]
    assert finished(rows[:2]).best.number == 0
    random.Random(0).shuffle(rows)
    assert finished(rows).best.others["b"] == 10.0
