"""Compare the class frequencies of two sets; if they differ, so may the accuracies.

Imports without torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.classification.losses.class_weights import Counts

DRAWS = 999
CHANCE, LEAST = 0.05, 0.05
"""Frequencies differ if the p-value is at most CHANCE and the distance at least LEAST. An accuracy
cannot move by more than the distance, so a smaller one does not matter."""


@dataclass(frozen=True)
class Shift:
    """How far the class frequencies of two sets differ.

    distance: total variation, from 0 to 1: the share of rows that would have to change class.
    p_value: the probability of such a difference between two random parts of one set.
    """

    distance: float
    p_value: float

    @property
    def differs(self) -> bool:
        """Whether the difference is larger than by chance, and large enough to matter."""
        return self.p_value <= CHANCE and self.distance >= LEAST


def frequency_shift(counts: Counts, others: Counts, *, seed: int = 0) -> Shift:
    """Compare the class frequencies of two sets, given as rows of each class [C].

    The statistic is Pearson's chi-square of homogeneity, with a permutation distribution, which is
    valid for rare classes too. Source: Pearson 1900; Fisher 1935 for the permutation test. An empty
    set differs from none.
    """
    one, other = np.asarray(counts, dtype=np.int64), np.asarray(others, dtype=np.int64)
    if not one.sum() or not other.sum():
        return Shift(0.0, 1.0)
    present = one + other > 0
    one, other = one[present], other[present]
    pooled, rows = one + other, one.sum()
    expected = pooled * (rows / pooled.sum())
    dealt = np.random.default_rng(seed).multivariate_hypergeometric(
        pooled, rows, size=DRAWS, method="marginals"
    )
    drawn = ((dealt - expected) ** 2 / pooled).sum(1)
    found = ((one - expected) ** 2 / pooled).sum()
    # Tolerance: equal sums in another order differ in their last bits.
    extreme = int((drawn >= found * (1 - 1e-9)).sum())
    distance = float(np.abs(one / rows - other / other.sum()).sum() / 2)
    return Shift(distance, (1 + extreme) / (1 + DRAWS))


def at_frequencies(recalls: Sequence[float], rows: Counts, others: Counts) -> float | None:
    """Return the accuracy that recalls [C] give at the class frequencies of another set.

    rows, others: rows of each class [C] in the set of the recalls, and in the other one. Classes
    without rows in either set are left out. None if no class is in both. Recalls 1.0 and 0.5 at
    frequencies 1 : 3 give 0.625.
    """
    known = (np.asarray(rows) > 0) & (np.asarray(others) > 0)
    if not known.any():
        return None
    return float(np.average(np.asarray(recalls)[known], weights=np.asarray(others)[known]))


def shift_notices(valid: Counts, test: Counts) -> list[str]:
    """Return a notice if the classes [C] of validation and test set differ in frequency."""
    shift = frequency_shift(valid, test)
    if not shift.differs:
        return []
    return [
        "the classes are not as frequent in the test set as in the validation set (total variation "
        f"{shift.distance:.2f}): their accuracies will not compare, and what is best for one may "
        "not be for the other; val_balanced_accuracy counts every class alike"
    ]


def shift_note(split: str, found: Mapping[str, Any]) -> str:
    """Say how to compare a split's scores with those of the validation set.

    found: `class_frequencies` of an evaluation.
    """
    (here, there), (even_here, even_there) = found["accuracy"], found["balanced_accuracy"]
    weighted, p = found["accuracy_at_valid_frequencies"], found["p_value"]
    at = "" if weighted is None else f" ({weighted:.4f} at the frequencies of the validation set)"
    return (
        f"the classes are not as frequent in the {split} split as in the validation set (total "
        f"variation {found['distance']:.2f}, p {'<=' if p <= 1 / (1 + DRAWS) else '='} {p:.3f}): "
        f"accuracy {here:.4f} here{at} and {there:.4f} there do not compare; balanced accuracy, "
        f"which counts every class alike, is {even_here:.4f} here and {even_there:.4f} there"
    )
