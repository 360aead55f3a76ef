"""Tau, recall and regret against a definition by pairs, and what cannot be measured."""

import itertools
import math

import numpy as np
import pytest

from tunewright.analysis.audit.agreement import kendall_tau, measure_agreement


def tau_b(one, other):
    """Kendall 1945, by pairs."""
    pairs = list(itertools.combinations(range(len(one)), 2))
    a = [np.sign(one[i] - one[j]) for i, j in pairs]
    b = [np.sign(other[i] - other[j]) for i, j in pairs]
    return np.dot(a, b) / math.sqrt(np.dot(a, a) * np.dot(b, b))


@pytest.mark.parametrize("seed", range(5))
def test_tau_is_that_over_pairs(seed):
    rng = np.random.default_rng(seed)
    one = rng.normal(size=15).round(1)  # with ties
    other = (one + rng.normal(size=15)).round(1)
    assert kendall_tau(one, other) == pytest.approx(tau_b(one, other))
    measured = measure_agreement(one, other, resamples=50)
    assert measured.tau.value == pytest.approx(tau_b(one, other))
    assert measured.tau.low <= measured.tau.value <= measured.tau.high


def test_scipy_says_the_same():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 5, 40), rng.integers(0, 5, 40)
    assert kendall_tau(one, other) == pytest.approx(stats.kendalltau(one, other)[0])


def test_a_perfect_ranking_has_no_regret():
    measured = measure_agreement(range(12), range(12))
    assert measured.tau.value == 1.0
    assert measured.top_tau.value == 1.0
    assert measured.recall.value == 1.0
    assert (measured.regret.value, measured.regret.high) == (0.0, 0.0)


def test_regret_recall_and_top_by_hand():
    #        the cheap winner is the third best in full
    full = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
    cheap = [5.0, 6.0, 8.0, 7.0, 4.0, 3.0, 2.0, 1.0]
    measured = measure_agreement(cheap, full, best=2)
    assert measured.regret.value == pytest.approx(0.2)  # .9 - .7
    assert measured.recall.value == 0.0  # 0 and 1 are best, 2 and 3 are chosen
    assert measured.kept_regret.value == pytest.approx(0.2)
    assert measured.top == 4
    assert measured.top_tau.value == pytest.approx(tau_b(cheap[:4], full[:4]))
    assert measure_agreement(cheap, full, best=4).recall.value == 1.0


def test_of_equal_cheap_scores_the_earlier_wins():
    measured = measure_agreement([1.0, 1.0, 1.0, 0.0], [0.1, 0.9, 0.5, 0.0])
    assert measured.regret.value == pytest.approx(0.8)


def test_what_cannot_be_measured_is_none():
    assert measure_agreement([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) is None  # too few
    constant = measure_agreement([1.0] * 6, range(6))
    assert constant.tau.value is constant.tau.low is None
    assert constant.regret.value == 5.0
    assert kendall_tau([1.0, 1.0], [1.0, 2.0]) is None
    assert measure_agreement(range(4), range(4)).top_tau.value is None  # the top is all of them


def test_intervals_cover_the_truth():
    """Nominal 95 %: tau of a normal pair with correlation .8 is 2/pi asin(.8) = .59."""
    rng = np.random.default_rng(1)
    truth, hits = 2 / math.pi * math.asin(0.8), 0
    for _ in range(100):
        one, noise = rng.normal(size=(2, 24))
        found = measure_agreement(one, 0.8 * one + 0.6 * noise, resamples=200).tau
        hits += found.low <= truth <= found.high
    assert hits >= 90
