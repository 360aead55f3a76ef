import json
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tunewright.analysis.score_intervals import wilson
from tunewright.classification.metrics import intervals
from tunewright.classification.metrics.intervals import (
    bootstrap_differences,
    bootstrap_intervals,
    mcnemar,
)
from tunewright.errors import DataError

ORACLE = json.loads((Path(__file__).parents[2] / "oracles/classification.json").read_text())
VALUES, INPUTS = ORACLE["values"], ORACLE["inputs"]
LABELS = np.array(INPUTS["labels"])
PREDICTIONS, OTHERS = (np.array(INPUTS[name]).argmax(1) for name in ("logits", "other_logits"))
TRAIN = np.array(INPUTS["train_counts"])


def some(rows: int, classes: int, right: float, seed: int = 0):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, rows)
    guesses = draw.integers(0, classes, rows)
    return labels, np.where(draw.random(rows) < right, labels, guesses)


def test_mcnemar_is_the_exact_binomial_test():
    found = mcnemar(LABELS, PREDICTIONS, OTHERS)
    assert vars(found) == pytest.approx(VALUES["mcnemar"])
    for first, second in ((0, 0), (3, 3), (1, 9), (40, 2), (0, 2000)):
        labels = np.zeros(first + second + 5, dtype=np.int64)
        mine = np.r_[np.zeros(first), np.ones(second), np.zeros(5)].astype(np.int64)
        theirs = np.r_[np.ones(first), np.zeros(second), np.zeros(5)].astype(np.int64)
        found = mcnemar(labels, mine, theirs)
        assert (found.only_first, found.only_second) == (first, second)
        exact = binomtest(first, first + second).pvalue if first + second else 1.0
        assert found.p_value == pytest.approx(exact)
        assert mcnemar(labels, theirs, mine).p_value == found.p_value


# Bootstrap


def test_the_bootstrap_is_that_of_all_samples_with_replacement():
    # Four rows have 4^4 samples: the percentiles can be had exactly.
    labels, predictions = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    counts = np.array([30, 10])
    every = np.array(list(product(range(4), repeat=4)))
    right = (labels == predictions)[every].mean(1)
    found = bootstrap_intervals(labels, predictions, counts, resamples=20000, level=0.8)
    assert found["accuracy"] == pytest.approx(tuple(np.quantile(right, [0.1, 0.9])), abs=1e-12)


def test_drawing_counts_is_drawing_rows():
    labels, predictions = some(300, 4, 0.6)
    counts = np.array([400, 200, 50, 10])
    draw = np.random.default_rng(1)
    chosen = draw.integers(0, 300, (4000, 300))
    right, truth = (labels == predictions)[chosen], labels[chosen]
    recalls = [(right & (truth == c)).sum(1) / (truth == c).sum(1) for c in range(4)]
    recall = np.mean(recalls, axis=0)
    found = bootstrap_intervals(labels, predictions, counts, resamples=4000)
    for name, values in (("accuracy", right.mean(1)), ("balanced_accuracy", recall)):
        expected = np.quantile(values, [0.025, 0.975])
        assert found[name] == pytest.approx(expected, abs=0.01), name


def test_an_interval_of_accuracy_is_near_wilsons():
    labels, predictions = some(2000, 10, 0.8)
    found = bootstrap_intervals(labels, predictions, np.full(10, 50))["accuracy"]
    hits = int((labels == predictions).sum())
    assert found == pytest.approx(wilson(hits, 2000), abs=0.005)


def test_the_same_seed_gives_the_same_interval():
    labels, predictions = some(200, 5, 0.5)
    counts = np.array([900, 90, 50, 9, 5])
    first = bootstrap_intervals(labels, predictions, counts, seed=3)
    assert first == bootstrap_intervals(labels, predictions, counts, seed=3)
    assert first != bootstrap_intervals(labels, predictions, counts, seed=4)


def test_a_wider_level_is_a_wider_interval():
    narrow = bootstrap_intervals(LABELS, PREDICTIONS, TRAIN, level=0.5)
    wide = bootstrap_intervals(LABELS, PREDICTIONS, TRAIN, level=0.99)
    for name, (low, high) in narrow.items():
        assert wide[name][0] <= low <= high <= wide[name][1]


def test_groups_without_rows_have_no_interval():
    found = bootstrap_intervals(LABELS, PREDICTIONS, TRAIN)
    assert "few_accuracy" not in found
    assert "few_f1" not in found
    assert {"tail_f1", "many_accuracy", "medium_accuracy", "macro_f1"} <= set(found)


def test_a_group_with_one_row_is_left_out_of_draws_without_it():
    labels, predictions = np.array([0] * 9 + [1]), np.array([0] * 9 + [1])
    found = bootstrap_intervals(labels, predictions, np.array([90, 5]))
    assert found["tail_accuracy"] == wilson(1, 1)


@given(rows=st.integers(1, 400), seed=st.integers(0, 9), right=st.booleans())
def test_accuracies_at_a_bound_are_wilsons_over_their_rows(rows, seed, right):
    labels = np.random.default_rng(seed).integers(0, 3, rows)
    predictions = labels if right else (labels + 1) % 3
    counts = np.array([300, 50, 5])
    found = bootstrap_intervals(labels, predictions, counts, resamples=50)
    assert found["accuracy"] == wilson(right * rows, rows)
    for name, group in (("many", labels == 0), ("medium", labels == 1), ("few", labels == 2)):
        assert (f"{name}_accuracy" in found) == bool(group.any())
        if group.any():
            assert found[f"{name}_accuracy"] == wilson(right * int(group.sum()), int(group.sum()))
    assert not {"balanced_accuracy", "macro_f1"} & set(found)


def test_rare_pairs_are_drawn_like_the_others():
    numbers = np.array([50, 3, 1, 7, 1, 12])
    rows, chances = numbers.sum(), numbers / numbers.sum()
    drawn = intervals.draw_counts(np.random.default_rng(0), numbers, 40_000)
    assert (drawn.sum(1) == rows).all()
    assert drawn.mean(0) == pytest.approx(numbers, rel=0.03)
    covariance = rows * (np.diag(chances) - np.outer(chances, chances))
    assert np.cov(drawn.T) == pytest.approx(covariance, rel=0.05, abs=0.05)


def test_pieces_of_the_draws_are_further_draws(monkeypatch):
    labels, predictions = some(200, 5, 0.5)
    counts = np.full(5, 50)
    whole = bootstrap_intervals(labels, predictions, counts, resamples=2000)
    monkeypatch.setattr(intervals, "CELLS_AT_ONCE", 64)
    pieces = bootstrap_intervals(labels, predictions, counts, resamples=2000)
    for name, interval in whole.items():
        assert pieces[name] == pytest.approx(interval, abs=0.02)


# Differences


def test_models_that_agree_on_every_row_may_differ_on_others():
    found = bootstrap_differences(LABELS, PREDICTIONS, PREDICTIONS, TRAIN)
    assert {(d.value, d.is_tied, d.method) for d in found.values()} == {(0.0, True, "wilson")}
    share = wilson(0, len(LABELS))[1]
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx((-share, share))
    by_class = np.mean([wilson(0, n)[1] for n in np.bincount(LABELS) if n])
    assert found["balanced_accuracy"].high == pytest.approx(by_class)
    assert all(d.low < d.value < d.high for d in found.values())


def test_a_model_that_is_right_where_the_other_never_is_has_no_certain_gain():
    labels = np.arange(50) % 2
    gain = bootstrap_differences(labels, labels, 1 - labels, np.array([9, 9]))["accuracy"]
    assert (gain.value, gain.high, gain.method) == (1.0, 1.0, "wilson")
    assert 0.8 < gain.low < 1.0


def test_differences_are_those_of_the_scores_and_change_their_sign():
    there = bootstrap_differences(LABELS, PREDICTIONS, OTHERS, TRAIN)
    back = bootstrap_differences(LABELS, OTHERS, PREDICTIONS, TRAIN)
    mine, theirs = ((predicted == LABELS).mean() for predicted in (PREDICTIONS, OTHERS))
    assert there["accuracy"].value == pytest.approx(mine - theirs)
    for name, difference in there.items():
        assert difference.low <= difference.value <= difference.high
        assert back[name].value == pytest.approx(-difference.value)
        assert back[name].is_tied == difference.is_tied


def test_rows_that_are_hard_for_both_do_not_widen_a_difference():
    labels, predictions = some(1000, 4, 0.5)
    better = predictions.copy()
    wrong = np.flatnonzero(predictions != labels)[:40]
    better[wrong] = labels[wrong]
    counts = np.full(4, 50)
    difference = bootstrap_differences(labels, better, predictions, counts)["accuracy"]
    low, high = bootstrap_intervals(labels, predictions, counts)["accuracy"]
    assert difference.value == pytest.approx(0.04)
    assert not difference.is_tied
    assert difference.high - difference.low < (high - low) / 2
    assert mcnemar(labels, better, predictions).p_value < 1e-9


def test_what_does_not_fit_together_is_refused():
    nothing = np.zeros(0, dtype=np.int64)
    with pytest.raises(DataError, match="0 and 0 labels and predictions"):
        bootstrap_intervals(nothing, nothing, TRAIN)
    with pytest.raises(DataError, match="40 and 39"):
        bootstrap_intervals(LABELS, PREDICTIONS[1:], TRAIN)
    with pytest.raises(DataError, match="class 13 among"):
        bootstrap_intervals(LABELS, PREDICTIONS + 9 * (LABELS == 4), TRAIN)


@pytest.mark.slow
def test_a_thousand_draws_of_ten_thousand_rows_take_less_than_a_second():
    labels, predictions = some(10_000, 100, 0.4)
    begun = time.process_time()
    bootstrap_intervals(labels, predictions, np.full(100, 50))
    assert time.process_time() - begun < 1.0
