"""Whether two sets have their classes as often, by a permutation test and a distance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.classification.evaluation.class_frequencies import at_frequencies, frequency_shift

COUNTS = st.lists(st.integers(0, 40), min_size=2, max_size=12).filter(any)


def long_tail(classes: int, most: int) -> np.ndarray:
    return np.maximum(1, most * 0.6 ** np.arange(classes)).astype(int)


@pytest.mark.parametrize(("classes", "most", "balanced"), [(10, 100, 20), (17, 30, 10), (4, 60, 9)])
def test_a_long_tail_is_not_a_balanced_set(classes, most, balanced):
    shift = frequency_shift(long_tail(classes, most), np.full(classes, balanced))
    assert shift.differs
    assert shift.p_value <= 0.05


@settings(max_examples=40, deadline=None)
@given(counts=COUNTS, times=st.integers(1, 5))
def test_the_same_shares_are_no_shift(counts, times):
    shift = frequency_shift(np.array(counts), times * np.array(counts))
    assert shift.distance == pytest.approx(0.0, abs=1e-12)
    assert shift.p_value == 1.0
    assert not shift.differs


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_it_is_the_same_both_ways_and_within_its_range(data):
    one, other = (np.array(data.draw(COUNTS)) for _ in range(2))
    size = min(len(one), len(other))
    one, other = one[:size], other[:size]
    here, there = frequency_shift(one, other), frequency_shift(other, one)
    assert here.distance == pytest.approx(there.distance)
    assert 0.0 <= here.distance <= 1.0 + 1e-12
    assert 0.0 < here.p_value <= 1.0


def test_random_parts_of_one_set_seldom_differ():
    rng = np.random.default_rng(0)
    shares = long_tail(20, 100) / long_tail(20, 100).sum()
    found = [
        frequency_shift(rng.multinomial(80, shares), rng.multinomial(60, shares)).differs
        for _ in range(200)
    ]
    assert sum(found) <= 20  # 5 % of them, and some by chance


def test_a_tiny_difference_of_large_sets_is_none_that_matters():
    shift = frequency_shift(np.array([51_000, 49_000]), np.array([49_000, 51_000]))
    assert shift.p_value <= 0.01
    assert not shift.differs


def test_chi_square_agrees_where_it_holds():
    from scipy.stats import chi2_contingency

    one, other = np.array([60, 40, 50]), np.array([45, 55, 52])
    expected = chi2_contingency(np.stack([one, other])).pvalue
    assert frequency_shift(one, other).p_value == pytest.approx(expected, abs=0.03)


def test_an_accuracy_at_other_frequencies():
    recalls, rows = [1.0, 0.5, 0.0, 0.7], np.array([10, 10, 10, 0])
    assert at_frequencies(recalls, rows, np.array([8, 2, 0, 5])) == pytest.approx(0.9)
    assert at_frequencies(recalls, rows, rows) == pytest.approx(0.5)
    assert at_frequencies(recalls, rows, np.array([0, 0, 0, 3])) is None
    assert not frequency_shift(np.zeros(3, dtype=int), np.ones(3, dtype=int)).differs
