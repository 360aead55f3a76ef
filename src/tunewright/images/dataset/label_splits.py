"""Hold out pictures of several labels, stratified by every label, whole units together."""

import numpy as np
import numpy.typing as npt

from tunewright.images.dataset.splits import NEVER, Mask
from tunewright.images.image_table import Indices, Targets

Floats = npt.NDArray[np.float64]


def hold_out_labels(targets: Targets, units: Indices, fraction: float, seed: int) -> Mask:
    """Choose about `fraction` of the pictures of each label, whole units only: a mask [N].

    targets: bool [N, C]. A label in two units or more is on both sides as far as that is possible;
    the only unit of a label is never held out. All False if no unit can be held out.
    """
    mask = np.zeros(len(targets), dtype=np.bool_)
    if fraction <= 0:
        return mask
    shares = np.array([1.0 - fraction, fraction])
    return np.asarray(deal_labels(targets, units, shares, seed, spared=0) == 1)


def fold_numbers_of_labels(targets: Targets, units: Indices, folds: int, seed: int) -> Indices:
    """Distribute the rows over `folds` folds, whole units only: [N], NEVER for some.

    NEVER are the units that alone have some label: it would be missing from train.
    """
    return deal_labels(targets, units, np.full(folds, 1.0 / folds), seed, spared=NEVER)


def deal_labels(
    targets: Targets, units: Indices, shares: Floats, seed: int, *, spared: int
) -> Indices:
    """Deal units to parts so that each part has its share of every label: the part of each row.

    The rarest label that is left comes first: each of its units goes to the part that lacks most
    pictures of it, then to the one that lacks most pictures, then to any. Pictures without a label
    count as one more label. spared: the part of units that alone have some label. Source: Sechidis,
    Tsoumakas and Vlahavas, ECML 2011 (iterative stratification), here with groups.
    """
    rng = np.random.default_rng(seed)
    count = int(units.max()) + 1 if len(units) else 0
    wide = np.column_stack([targets, ~targets.any(axis=1)]).astype(np.float64)
    of_unit = np.zeros((count, wide.shape[1]))
    np.add.at(of_unit, units, wide)  # [units, C + 1] pictures
    sizes = np.bincount(units, minlength=count).astype(np.float64)
    # Pictures that each part still lacks, of each label and in all. Where a label has a unit for
    # every part, each lacks one at least: else a small part would get none of a rare label.
    wanted = shares[:, None] * of_unit.sum(axis=0)
    several = (of_unit > 0).sum(axis=0) >= len(shares)
    wanted[:, several] = np.maximum(wanted[:, several], 1.0)
    room = shares * len(targets)
    parts = np.full(count, NEVER - 1, dtype=np.int64)
    lone = (of_unit[:, :-1] > 0)[:, (of_unit[:, :-1] > 0).sum(axis=0) == 1].any(axis=1)

    def put(unit: int, part: int) -> None:
        parts[unit] = part
        if part >= 0:
            wanted[part] -= of_unit[unit]
            room[part] -= sizes[unit]

    for unit in np.flatnonzero(lone).tolist():
        put(unit, spared)
    order = rng.permutation(count)
    while (left := parts == NEVER - 1).any():
        units_left = (of_unit[left] > 0).sum(axis=0)
        label = int(np.where(units_left > 0, units_left, count + 1).argmin())
        mine = [unit for unit in order.tolist() if left[unit] and of_unit[unit, label] > 0]
        # Large units first: later ones even out what these leave.
        for unit in sorted(mine, key=lambda unit: -of_unit[unit, label]):
            lacking = np.lexsort((rng.random(len(shares)), room, wanted[:, label]))
            put(unit, int(lacking[-1]))
    return parts[units]
