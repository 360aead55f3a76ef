"""From which probability on a label is predicted, chosen on the validation set.

Imports without torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.classification.metrics.multi_label import Bools, Floats
from tunewright.errors import DataError
from tunewright.runs.atomic import read_json

THRESHOLDS = "thresholds.json"
"""The file in the folder of a run or an ensemble; read where the validation set is gone."""
FEWEST = 10
"""Pictures that a label needs for a threshold of its own; rarer ones share the common one."""
USUAL = 0.5


@dataclass(frozen=True)
class Thresholds:
    """The least probability at which each label is predicted.

    each: of the labels [C]. own: whether it was chosen for that label alone, rather than for all
    labels together.
    """

    each: tuple[float, ...]
    own: tuple[bool, ...]

    @classmethod
    def usual(cls, labels: int, threshold: float = USUAL) -> "Thresholds":
        """Return the same threshold for every label."""
        return cls((threshold,) * labels, (False,) * labels)

    def choose(self, probabilities: Floats) -> Bools:
        """Return which labels are predicted, bool [N, C]."""
        chosen: Bools = np.asarray(probabilities) >= np.array(self.each)
        return chosen


def choose_thresholds(targets: Bools, probabilities: Floats) -> Thresholds:
    """Choose the thresholds with the best F1 on these pictures, bool [N, C] and floats [N, C].

    A label that fewer than 10 pictures have, or all, gets the threshold that is best for all labels
    together (by micro F1): one chosen for a few pictures says little about others.
    """
    counts = targets.sum(axis=0)
    if not counts.any():
        return Thresholds.usual(targets.shape[1])
    common = _best(targets.ravel(), probabilities.ravel())
    own = (counts >= FEWEST) & (counts < len(targets))
    each = [
        _best(targets[:, label], probabilities[:, label]) if own[label] else common
        for label in range(targets.shape[1])
    ]
    return Thresholds(tuple(each), tuple(own.tolist()))


def thresholds_file(thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Return the content of `THRESHOLDS`, from the threshold of each class."""
    return {"chosen_on": "valid", "thresholds": dict(thresholds)}


def read_thresholds(folder: Path, classes: tuple[str, ...]) -> Thresholds | None:
    """Read the thresholds in a folder; None where there are none.

    Raises DataError for a file that does not hold a threshold for each class.
    """
    stored = read_json(folder / THRESHOLDS)
    if stored is None:
        return None
    try:
        each = tuple(float(stored["thresholds"][name]) for name in classes)
    except (KeyError, TypeError, ValueError):
        raise DataError(
            f"{folder / THRESHOLDS} does not hold a threshold for each class",
            expected="thresholds, with a probability for each class of the run",
            remedy="Delete the file on a machine with the training data: it is written again.",
        ) from None
    return Thresholds(each, (True,) * len(classes))


def _best(targets: Bools, probabilities: Floats) -> float:
    """Return the threshold with the highest F1, the midpoint between two probabilities."""
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order].astype(np.float64)
    hits, said = np.cumsum(targets[order]), np.arange(1, len(order) + 1)
    f1 = 2 * hits / (said + targets.sum())
    ends = np.append(np.diff(ranked) != 0, True)  # equal probabilities are chosen together
    best = int(np.where(ends, f1, -1.0).argmax())
    below = float(ranked[best + 1]) if best + 1 < len(ranked) else 0.0
    return (float(ranked[best]) + below) / 2
