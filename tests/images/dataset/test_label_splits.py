"""Pictures of several labels, held out by label and by group."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.images.dataset.label_splits import fold_numbers_of_labels, hold_out_labels
from tunewright.images.dataset.splits import NEVER


def drawn(rows, labels, seed, group=1):
    draws = np.random.default_rng(seed)
    shares = draws.uniform(0.01, 0.6, labels)
    targets = draws.random((rows, labels)) < shares
    units = np.unique(draws.integers(0, max(1, rows // group), rows), return_inverse=True)[1]
    return targets, units if group > 1 else np.arange(rows)


@pytest.mark.parametrize("seed", range(5))
def test_every_label_has_its_share(seed):
    targets, units = drawn(600, 12, seed)
    out = hold_out_labels(targets, units, 0.2, seed)
    counts = targets.sum(0)
    assert out.mean() == pytest.approx(0.2, abs=0.02)
    off = np.abs(targets[out].sum(0) - 0.2 * counts)
    # The most frequent label comes last, with what the others have left.
    assert np.sort(off)[-2] <= 2.5
    assert off.max() <= 0.2 * 0.2 * counts.max()


@given(st.integers(0, 10_000), st.integers(8, 60), st.integers(1, 6), st.sampled_from([1, 3]))
def test_groups_stay_whole_and_no_label_leaves_train(seed, rows, labels, group):
    targets, units = drawn(rows, labels, seed, group)
    out = hold_out_labels(targets, units, 0.25, seed)
    assert all(len(set(out[units == unit].tolist())) == 1 for unit in set(units.tolist()))
    for label in targets.T:
        holders = set(units[label].tolist())
        if len(holders) == 1:
            assert not out[label].any()


def test_a_label_of_two_pictures_is_on_both_sides():
    targets = np.zeros((40, 3), dtype=np.bool_)
    targets[:, 0] = True
    targets[[3, 17], 1] = True
    targets[[5, 30], 2] = True
    for seed in range(20):
        out = hold_out_labels(targets, np.arange(40), 0.1, seed)
        assert targets[out].sum(0)[1:].tolist() == [1, 1]


def test_folds_share_the_labels_and_keep_the_only_picture_of_one():
    targets, units = drawn(300, 6, 1)
    targets[:, 5] = False
    targets[7, 5] = True
    folds = fold_numbers_of_labels(targets, units, 5, seed=0)
    assert folds[7] == NEVER
    counts = np.array([targets[folds == fold].sum(0) for fold in range(5)])
    spread = counts.max(0) - counts.min(0)
    assert spread[:5].max() <= 3
    assert set(folds.tolist()) == {NEVER, 0, 1, 2, 3, 4}


def test_the_seed_decides():
    targets, units = drawn(100, 4, 0)
    first, again, other = (hold_out_labels(targets, units, 0.3, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert not hold_out_labels(targets, units, 0.0, 1).any()
