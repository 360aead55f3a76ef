"""Hold pictures out: stratified by class, whole groups in one split, reproducible."""

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tunewright.images.dataset.connected_groups import connected_groups
from tunewright.images.image_table import Indices

Mask = npt.NDArray[np.bool_]
NEVER = -1
"""The fold of a picture that is never held out, since its class would be missing from train."""
ROUNDING = 1e-9


def units_of(*columns: Sequence[str] | None) -> Indices:
    """Assign the pictures that belong together, also through chains, one number: [N], from 0.

    Numbers go by first row. columns: two rows with equal values in any of them belong together
    (groups, bytes); None joins nothing. Rows with groups a, a, b and hashes x, y, y are all one
    unit.
    """
    return connected_groups([_encode_labels(column) for column in columns if column is not None])


def _encode_labels(column: Sequence[str]) -> Indices:
    """Map equal texts to equal numbers; an array of texts would pad each to the longest."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in column], dtype=np.int64)


def hold_out(labels: Indices, units: Indices, fraction: float, seed: int) -> Mask:
    """Choose about `fraction` of the rows of each class, whole units only: a mask [N].

    Every class keeps at least one unit that is not held out. If no two pictures belong together
    this is scikit-learn's stratified split, `train_test_split(stratify=labels, random_state=seed)`,
    of the classes with more than one picture. All False if no unit can be held out.
    """
    mask = np.zeros(len(labels), dtype=np.bool_)
    free = np.flatnonzero(_may_go(labels, units))
    if fraction <= 0 or not free.size:
        return mask
    wanted = int(np.ceil(fraction * len(free)))
    kept = len(free) - wanted
    _, sizes = np.unique(labels[free], return_counts=True)
    # Else scikit-learn would refuse, or might hold out a whole class.
    enough = len(sizes) <= min(wanted, kept) and sizes.min() * kept >= len(free)
    if enough and _alone(units, free):
        from sklearn.model_selection import StratifiedShuffleSplit

        splitter = StratifiedShuffleSplit(1, test_size=wanted, random_state=seed)
        _, chosen = next(splitter.split(free, labels[free]))
        mask[free[chosen]] = True
        return mask
    parts = _deal(labels, units, free, np.array([1 - fraction, fraction]), seed, spared=0)
    mask[free] = parts == 1
    if not mask.any():  # few or large units: take the one nearest to the wanted size
        numbers, sizes = np.unique(units[free], return_counts=True)
        mask = units == numbers[np.abs(sizes - wanted).argmin()]
    return mask


def fold_numbers(labels: Indices, units: Indices, folds: int, seed: int) -> Indices:
    """Distribute the rows over `folds` stratified folds, whole units only: [N], NEVER for some.

    Whichever fold is held out, every class keeps a unit in the others; pictures that would prevent
    that, such as the only one of a class, are never held out. If no two pictures belong together
    this is scikit-learn's StratifiedKFold; else folds may differ in size by a unit.
    """
    parts = np.full(len(labels), NEVER, dtype=np.int64)
    free = np.flatnonzero(_may_go(labels, units))
    if not free.size:
        return parts
    if _alone(units, free) and np.unique(labels[free], return_counts=True)[1].max() >= folds:
        from sklearn.model_selection import StratifiedKFold

        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            # Classes smaller than the number of folds go into as many as they can.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            for number, (_, chosen) in enumerate(splitter.split(free, labels[free])):
                parts[free[chosen]] = number
        return parts
    parts[free] = _deal(labels, units, free, np.full(folds, 1 / folds), seed, spared=None)
    return parts


def _may_go(labels: Indices, units: Indices) -> Mask:
    """Return the rows whose unit can be held out without leaving a class empty."""
    if not len(labels):
        return np.zeros(0, dtype=np.bool_)
    pairs = np.unique(np.stack([labels, units]), axis=1)
    lone = np.bincount(pairs[0], minlength=int(labels.max()) + 1)[pairs[0]] == 1
    return ~np.isin(units, pairs[1][lone])


def _alone(units: Indices, rows: Indices) -> bool:
    return bool((np.bincount(units)[units[rows]] == 1).all())


def _deal(
    labels: Indices,
    units: Indices,
    free: Indices,
    shares: npt.NDArray[np.float64],
    seed: int,
    spared: int | None,
) -> Indices:
    """Distribute the free rows by `shares`: the part of each of them, NEVER if none is possible.

    Units of several pictures come first, each to the part where its classes are filled least; those
    too large for the smallest part come before all others. The single pictures of each class then
    fill what is left, and rounding errors are carried over to the next class. No part gets every
    unit of a class, except the `spared` one.
    """
    rng = np.random.default_rng(seed)
    parts = np.full(len(labels), NEVER, dtype=np.int64)
    counts = np.bincount(labels)
    wanted = shares[:, None] * counts  # [parts, C]
    have = np.zeros_like(wanted)
    stuck = np.setdiff1d(np.arange(len(labels)), free)
    if spared is not None:  # rows that cannot move are there already
        have[spared] += np.bincount(labels[stuck], minlength=len(counts))
    kept = _units_a_class(labels[stuck], units[stuck], len(counts))
    left = _units_a_class(labels[free], units[free], len(counts))
    seen = np.zeros(wanted.shape, dtype=np.int64)  # units of each class in each part
    size = np.bincount(units)
    several = rng.permutation(np.unique(units[free][size[units[free]] > 1]))
    large = size[several] > shares.min() * len(labels)
    several = several[np.argsort(np.where(large, -size[several], 0), kind="stable")]
    order = np.argsort(units, kind="stable")
    ends = np.cumsum(size)
    for unit in several:
        rows = order[ends[unit] - size[unit] : ends[unit]]
        classes, shown = np.unique(labels[rows], return_counts=True)
        cost = ((have[:, classes] + shown) / wanted[:, classes]) @ (shown / counts[classes])
        left[classes] -= 1
        elsewhere = kept[classes] + seen[:, classes].sum(axis=0) - seen[:, classes]
        barred = ((left[classes] == 0) & (elsewhere == 0)).any(axis=1)
        if spared is not None:
            barred[spared] = False
        if barred.all():
            kept[classes] += 1
            continue
        part = int(np.where(barred, np.inf, cost).argmin())
        parts[rows] = part
        have[part, classes] += shown
        seen[part, classes] += 1
    carried = np.zeros(len(shares))
    single = free[size[units[free]] == 1]
    for label in rng.permutation(np.unique(labels[single])):
        rows = rng.permutation(single[labels[single] == label])
        room = np.maximum(wanted[:, label] - have[:, label], 0)
        room *= len(rows) / room.sum()
        given = np.floor(room + ROUNDING).astype(np.int64)
        over = room - given
        best = np.argsort(-np.where(over > ROUNDING, over + carried, -np.inf), kind="stable")
        given[best[: len(rows) - given.sum()]] += 1
        carried += room - given
        inside = seen[:, label] + given
        if kept[label] == 0 and np.count_nonzero(inside) == 1 and inside.argmax() != spared:
            only = int(inside.argmax())
            given[only] -= 1
            given[(only + 1) % len(shares) if spared is None else spared] += 1
        parts[rows] = np.repeat(np.arange(len(shares)), given)
    return parts[free]


def _units_a_class(labels: Indices, units: Indices, classes: int) -> Indices:
    return np.bincount(np.unique(np.stack([labels, units]), axis=1)[0], minlength=classes)
