"""AUROC and average precision of one label. Imports without torch."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def auroc(positive: Ints, scores: Floats) -> float | None:
    """Return the chance that a positive scores above a negative; ties count half.

    positive: [N], 1 or 0. None without positives or without negatives. Source: Hanley and McNeil
    1982, by ranks.
    """
    count = int(positive.sum())
    others = len(positive) - count
    if count == 0 or others == 0:
        return None
    _, inverse, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    # Equal scores share the mean of their ranks: sizes 1, 2 give the ranks 1, 2.5, 2.5.
    mean_rank = np.cumsum(sizes) - (sizes - 1) / 2
    total = float(mean_rank[inverse][positive == 1].sum())
    return (total - count * (count + 1) / 2) / (count * others)


def average_precision(positive: Ints, scores: Floats) -> float | None:
    """Return the mean precision at each recall that a threshold reaches; None without positives.

    Equal scores share a threshold, and nothing is interpolated: scikit-learn's definition.
    """
    count = int(positive.sum())
    if count == 0:
        return None
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.r_[np.flatnonzero(np.diff(scores[order])), len(scores) - 1]  # of each threshold
    found = hits[last]
    gained = np.diff(np.r_[0, found])
    return float((gained * found / (last + 1)).sum() / count)
