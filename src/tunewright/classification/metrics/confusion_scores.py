"""All scores of predicted classes, from three counts per class. Imports without torch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tunewright.classification.losses.class_weights import Floats
from tunewright.errors import DataError

Ints = npt.NDArray[np.int64]
Groups = Mapping[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class ConfusionCounts:
    """For each class: rows predicted correctly, rows of it, rows predicted as it; each [..., C].

    Leading axes, if any, are bootstrap draws.
    """

    hits: Ints
    support: Ints
    predicted: Ints

    @classmethod
    def of(cls, confusion: Ints) -> "ConfusionCounts":
        """Make the counts of a confusion matrix [C, C], truth by prediction."""
        return cls(confusion.diagonal(), confusion.sum(1), confusion.sum(0))

    @property
    def recall(self) -> Floats:
        """Fraction of each class's rows predicted correctly; 0 for a class without rows."""
        return _ratio(self.hits, self.support)

    @property
    def precision(self) -> Floats:
        """Fraction of correct predictions of each class; 0 for a class never predicted."""
        return _ratio(self.hits, self.predicted)

    @property
    def f1(self) -> Floats:
        """Harmonic mean of precision and recall; 0 for a class without hits."""
        return _ratio(2 * self.hits, self.support + self.predicted)

    def scores(self, groups: Groups) -> dict[str, Floats]:
        """Return all scores, each [...]; NaN for a group without rows.

        Macro means are over the classes that occur, as truth or as prediction; balanced accuracy
        over those that occur as truth: scikit-learn's `average="macro", zero_division=0` and
        `balanced_accuracy_score`. Accuracy of a group is recall over its rows; its F1 is the mean
        over its classes of the F1 in the whole set, so predictions outside the group count as
        misses, and not as further classes.
        """
        rows = self.support.sum(-1)
        occurs, has_rows = self.support + self.predicted > 0, self.support > 0
        f1, recall = self.f1, self.recall
        scores = {
            "accuracy": _ratio(self.hits.sum(-1), rows),
            "macro_f1": _mean(f1, occurs),
            "weighted_f1": _ratio((f1 * self.support).sum(-1), rows),
            "balanced_accuracy": _mean(recall, has_rows),
            "macro_precision": _mean(self.precision, occurs),
            "macro_recall": _mean(recall, occurs),
        }
        for name, mask in groups.items():
            group_rows = self.support[..., mask].sum(-1)
            hits = self.hits[..., mask].sum(-1)
            measured = group_rows > 0
            scores[f"{name}_accuracy"] = np.where(measured, _ratio(hits, group_rows), np.nan)
            scores[f"{name}_f1"] = np.where(measured, _mean(f1, occurs & mask), np.nan)
        return scores


def confusion_matrix(labels: Ints, predictions: Ints, classes: int) -> Ints:
    """Count how often each class (row) was predicted as each class (column): [N], [N] -> [C, C].

    Raises DataError for no rows, and for labels or predictions outside 0 .. C-1.
    """
    if len(labels) == 0:
        raise DataError("nothing to measure: no rows", expected="at least one labelled row")
    both = np.concatenate([labels, predictions])
    if both.min() < 0 or both.max() >= classes:
        wrong = both[(both < 0) | (both >= classes)][0]
        raise DataError(
            f"class {wrong} among labels or predictions",
            expected=f"0 to {classes - 1}",
            remedy="Check that data and model have the same classes.",
        )
    # Cell (label, prediction) has the index label * C + prediction: (1, 2) of 3 classes is 5.
    cells = np.bincount(labels * classes + predictions, minlength=classes**2)
    return cells.reshape(classes, classes)


def _ratio(part: npt.NDArray[np.generic], whole: Ints) -> Floats:
    """Divide, with 0 where the denominator is 0."""
    return np.asarray(part / np.maximum(whole, 1), dtype=np.float64)


def _mean(values: Floats, which: npt.NDArray[np.bool_]) -> Floats:
    """Average over the last axis, of the values that `which` marks."""
    return _ratio((values * which).sum(-1), which.sum(-1))
