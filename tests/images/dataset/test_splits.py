"""Splits lose no row, cut no group, keep every class in train, and repeat."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold, train_test_split

from tunewright.images.dataset.splits import NEVER, fold_numbers, hold_out, units_of

labels_of = st.lists(st.integers(0, 5), min_size=2, max_size=80)
fractions = st.floats(0.02, 0.9)
seeds = st.integers(0, 5)


def grouped(data):
    labels = data.draw(labels_of)
    most = data.draw(st.sampled_from([2, 8, 80]))
    drawn = st.lists(st.integers(0, most), min_size=len(labels), max_size=len(labels))
    return np.array(labels), units_of(data.draw(drawn))


def units_a_class(labels, units):
    return {label: len(set(units[labels == label].tolist())) for label in set(labels.tolist())}


def whole_units(units, sides):
    return all(len(set(sides[units == unit].tolist())) == 1 for unit in set(units.tolist()))


class TestUnits:
    def test_chains_are_one_unit(self):
        groups = ["x", "x", "y", "z", "w"]
        keys = ["1", "2", "2", "3", "4"]
        assert units_of(groups, keys).tolist() == [0, 0, 0, 1, 2]
        assert units_of(None, keys).tolist() == [0, 1, 1, 2, 3]

    @given(st.lists(st.integers(0, 9), min_size=1), st.randoms(use_true_random=False))
    def test_equal_values_are_joined(self, groups, random):
        keys = [random.randint(0, 99) for _ in groups]
        units = units_of(groups, keys)
        for column in (groups, keys):
            assert whole_units(np.array(column), units)
        assert sorted(set(units.tolist())) == [*range(units.max() + 1)]
        assert units[0] == 0


class TestHeldOut:
    @given(labels_of, fractions, seeds)
    def test_single_pictures(self, drawn, fraction, seed):
        labels = np.array(drawn)
        units = np.arange(len(labels))
        mask = hold_out(labels, units, fraction, seed)
        assert np.array_equal(mask, hold_out(labels, units, fraction, seed))
        counts, out = np.bincount(labels), np.bincount(labels[mask], minlength=6)
        free = np.where(counts > 1, counts, 0)
        assert (out[: len(free)] <= np.maximum(free - 1, 0)).all()  # each class keeps one
        if fraction <= 0.5 and mask.sum() > 1:
            # Rounding up the whole and each class: less than two from the exact share.
            assert (np.abs(out[: len(free)] - fraction * free) < 2).all()
            assert abs(mask.sum() - fraction * free.sum()) <= max(1, (free > 0).sum() / 2)
        assert mask.any() == (free.sum() > 0)

    @given(st.data(), fractions, seeds)
    def test_groups(self, data, fraction, seed):
        labels, units = grouped(data)
        mask = hold_out(labels, units, fraction, seed)
        assert np.array_equal(mask, hold_out(labels, units, fraction, seed))
        assert whole_units(units, mask)
        assert set(labels.tolist()) == set(labels[~mask].tolist())
        alone = {label for label, count in units_a_class(labels, units).items() if count == 1}
        assert not np.isin(labels[mask], list(alone)).any()

    @given(st.integers(2, 6), st.integers(20, 60), st.integers(1, 3), seeds)
    @settings(max_examples=30)
    def test_equal_groups_are_stratified(self, classes, units_each, size, seed):
        """With many small groups the shares of all classes come near."""
        labels = np.repeat(np.arange(classes), units_each * size)
        units = np.repeat(np.arange(classes * units_each), size)
        mask = hold_out(labels, units, 0.2, seed)
        shares = np.bincount(labels[mask], minlength=classes) / (units_each * size)
        assert np.abs(shares - 0.2).max() <= 1.5 / units_each

    @pytest.mark.parametrize("seed", range(3))
    def test_as_scikit_learn_where_nothing_belongs_together(self, seed):
        labels = np.repeat([0, 1, 2], [50, 20, 7])
        rows = np.arange(77)
        _, expected = train_test_split(rows, test_size=0.15, stratify=labels, random_state=seed)
        mask = hold_out(labels, rows, 0.15, seed)
        assert sorted(expected.tolist()) == np.flatnonzero(mask).tolist()

    def test_seeds_differ(self):
        labels = np.repeat([0, 1], 50)
        masks = [hold_out(labels, np.arange(100), 0.2, seed) for seed in range(2)]
        assert not np.array_equal(*masks)
        units = np.repeat(np.arange(50), 2)
        masks = [hold_out(labels, units, 0.2, seed) for seed in range(2)]
        assert not np.array_equal(*masks)

    def test_many_small_classes(self):
        """A share below half a picture a class is still held out, from some of the classes."""
        labels = np.repeat(np.arange(100), 3)
        units = np.arange(300)
        units[1] = units[0]  # one pair of copies: not scikit-learn's case
        out = np.bincount(labels[hold_out(labels, units, 0.15, 0)], minlength=100)
        assert abs(out.sum() - 45) <= 2
        assert out.max() == 1

    def test_large_groups_stay_in_train(self):
        units = np.repeat([0, 1, 2, 3, 4, 5], [60, 10, 8, 8, 8, 6])
        labels = np.arange(100) % 2
        for seed in range(5):
            mask = hold_out(labels, units, 0.2, seed)
            assert not mask[0]
            assert 10 <= mask.sum() <= 30

    def test_nothing_can_go(self):
        assert not hold_out(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), 0.5, 0).any()
        assert not hold_out(np.array([0, 1]), np.array([0, 1]), 0.5, 0).any()


class TestFolds:
    @given(st.data(), st.integers(2, 5), seeds)
    def test_each_picture_is_held_out_once_at_most(self, data, folds, seed):
        labels, units = grouped(data)
        parts = fold_numbers(labels, units, folds, seed)
        assert np.array_equal(parts, fold_numbers(labels, units, folds, seed))
        assert whole_units(units, parts)
        assert set(parts.tolist()) <= {NEVER, *range(folds)}
        for fold in range(folds):
            assert set(labels[parts != fold].tolist()) == set(labels.tolist())
        alone = [label for label, count in units_a_class(labels, units).items() if count == 1]
        assert (parts[np.isin(labels, alone)] == NEVER).all()

    @given(labels_of, st.integers(2, 5), seeds)
    def test_single_pictures_are_stratified_within_one(self, drawn, folds, seed):
        labels = np.array(drawn)
        assume(np.bincount(labels).max() > 1)
        parts = fold_numbers(labels, np.arange(len(labels)), folds, seed)
        for label in range(6):
            of_class = parts[labels == label]
            if len(of_class) > 1:
                counts = np.bincount(of_class, minlength=folds)
                assert counts.sum() == len(of_class)
                assert np.ptp(counts) <= 1

    def test_as_scikit_learn_where_nothing_belongs_together(self):
        labels = np.repeat([0, 1, 2], [50, 20, 7])
        parts = fold_numbers(labels, np.arange(77), 5, 3)
        expected = StratifiedKFold(5, shuffle=True, random_state=3).split(labels, labels)
        for fold, (_, chosen) in enumerate(expected):
            assert np.flatnonzero(parts == fold).tolist() == chosen.tolist()

    def test_folds_of_groups_have_about_one_size(self):
        rng = np.random.default_rng(0)
        units = np.repeat(np.arange(100), rng.integers(1, 9, 100))
        labels = rng.integers(0, 4, len(units))
        sizes = np.bincount(fold_numbers(labels, units, 5, 0), minlength=5)
        assert np.ptp(sizes) <= 16
