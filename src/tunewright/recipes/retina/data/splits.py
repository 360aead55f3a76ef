"""Hold patients out, so that every label is on both sides where that is possible."""

import numpy as np
import numpy.typing as npt

from tunewright.images.image_table import Indices

Mask = npt.NDArray[np.bool_]


def hold_out_groups(
    labels: Indices, units: Indices, wanted: float, seed: int, *, least: int = 1
) -> Mask:
    """Choose rows to hold out, about a share `wanted` of each label, whole units only: a mask [N].

    labels: int64 [N, C], 1 for each label of a row; negative in rows without labels. units: [N];
    rows of one unit stay together. least: units of each label that are held out at least, where as
    many stay behind; a label of a single unit stays behind. Rare labels are dealt first, units
    without labels last. Source: Sechidis et al., ECML 2011 (iterative stratification), by units.
    """
    rng = np.random.default_rng(seed)
    count = int(units.max()) + 1 if len(units) else 0
    has = np.zeros((count, labels.shape[1]), dtype=np.bool_)  # [units, C]
    np.logical_or.at(has, units, labels > 0)
    held = np.zeros(count, dtype=np.bool_)
    behind = has.sum(axis=0)  # units of each label that are not held out
    order = np.argsort(behind, kind="stable")
    for label in order.tolist():
        units_of_it = np.flatnonzero(has[:, label])
        if len(units_of_it) < 2:
            continue
        share = round(wanted * len(units_of_it))
        goal = min(max(share, least), len(units_of_it) - least) if wanted > 0 else 0
        goal = max(goal, 1) if wanted > 0 else 0
        for unit in rng.permutation(units_of_it):
            if held[units_of_it].sum() >= goal:
                break
            # No label may lose its last unit, nor those that `least` keeps for another split.
            if not held[unit] and (behind[has[unit]] > 1).all():
                held[unit] = True
                behind = behind - has[unit]
    bare = rng.permutation(np.flatnonzero(~has.any(axis=1)))
    held[bare[: round(wanted * len(bare))]] = True
    return held[units]


def sample_rows(labels: Indices, most: int, seed: int, *, least: int = 2) -> Indices:
    """Return at most `most` rows, ascending, with the labels in proportion and `least` of each.

    labels: int64 [N, C], as in `hold_out_groups`. A label with fewer rows has all of them. Of
    labels A (900 rows) and B (100) a sample of 50 has about 45 and 5 rows.
    """
    rng = np.random.default_rng(seed)
    rows = len(labels)
    if rows <= most:
        return np.arange(rows)
    taken = np.zeros(rows, dtype=np.bool_)
    counts = (labels > 0).sum(axis=0)
    for label in np.argsort(counts, kind="stable").tolist():
        of_it = rng.permutation(np.flatnonzero(labels[:, label] > 0))
        goal = min(len(of_it), max(least, int(most * len(of_it) / rows)))
        room = most - int(taken.sum())
        missing = max(0, goal - int(taken[of_it].sum()))
        taken[of_it[~taken[of_it]][: min(missing, room)]] = True
    left = rng.permutation(np.flatnonzero(~taken))
    taken[left[: most - int(taken.sum())]] = True
    return np.flatnonzero(taken)
