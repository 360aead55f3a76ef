"""Groups of frequent and rare classes, and the metrics a split can give. Imports without torch.

All groups follow from the training counts alone, so they are the same for every split and trial.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tunewright.classification.losses.class_weights import Counts

MANY, FEW = 100, 20
SHOWN = 8
"""Classes named in a notice; the others are counted."""


def class_groups(class_counts: Counts) -> Mapping[str, npt.NDArray[np.bool_]]:
    """Return masks [C] of the groups head, tail, many, medium and few.

    head: at least the median of the non-zero training counts; tail: fewer, down to none. many: more
    than 100 images, medium: 20 to 100, few: fewer than 20 (Liu et al., CVPR 2019, section 5.1). A
    group may be empty. Counts 200, 50, 10 have the median 50: head is 200 and 50, tail is 10.
    """
    counts = np.asarray(class_counts)
    present = counts[counts > 0]
    median = float(np.median(present)) if len(present) else 0.0
    return {
        "head": counts >= median,
        "tail": counts < median,
        "many": counts > MANY,
        "medium": (counts >= FEW) & (counts <= MANY),
        "few": counts < FEW,
    }


def missing_metrics(class_counts: Counts, split_counts: Counts) -> dict[str, str]:
    """Return the metrics that a split cannot give, such as `tail_f1`, each with the reason.

    class_counts, split_counts: [C] images of each class in training and in the split.
    """
    reasons: dict[str, str] = {}
    for name, mask in class_groups(class_counts).items():
        if np.asarray(split_counts)[mask].sum():
            continue
        reason = (
            f"no image of the {int(mask.sum())} {name} classes"
            if mask.any()
            else f"no class is in the group {name!r}"
        )
        reasons |= {f"{name}_accuracy": reason, f"{name}_f1": reason}
    return reasons


def coverage_notices(
    class_counts: Counts, split_counts: Counts, classes: Sequence[str], *, split: str = "validation"
) -> list[str]:
    """Return notices on classes without images, in training or in a split."""
    said = []
    untrained = np.flatnonzero(np.asarray(class_counts) == 0)
    if len(untrained):
        said.append(
            f"{_classes(untrained, classes)} without a training image: "
            "weights and priors count each as having one"
        )
    unseen = np.flatnonzero(np.asarray(split_counts) == 0)
    if len(unseen):
        said.append(
            f"{_classes(unseen, classes)} without a {split} image: no recall, left out of "
            "balanced accuracy; in macro metrics they count as 0 if predicted"
        )
    return said


def _classes(rows: npt.NDArray[np.int64], classes: Sequence[str]) -> str:
    names = ", ".join(repr(classes[row]) for row in rows[:SHOWN])
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return f"{len(rows)} {'class' if len(rows) == 1 else 'classes'} ({names}{more})"
