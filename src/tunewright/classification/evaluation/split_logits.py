"""The pictures of a split, and what a classifier says about them."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tunewright.classification.inference.cached_logits import validation_labels, validation_logits
from tunewright.classification.inference.predict import predict_table
from tunewright.errors import ConfigError
from tunewright.images.image_table import ImageTable
from tunewright.runs.callbacks import OnProgress

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier


def select_split(classifier: "Classifier", split: str | None) -> tuple[ImageTable, str]:
    """Return a split's pictures and its name; None is test if there is one, else valid.

    Raises ConfigError for a split that does not exist.
    """
    sets = classifier.sets
    if split is None:
        return (sets.test, "test") if sets.test is not None else (sets.valid, "valid")
    name = "valid" if split == "val" else split
    found = {"train": sets.train, "valid": sets.valid, "test": sets.test}
    table = found.get(name)
    if table is None:
        there = ", ".join(known for known, rows in found.items() if rows is not None)
        raise ConfigError(f"split {split!r}", expected=f"one of {there}")
    return table, name


def split_logits(
    classifier: "Classifier", table: ImageTable, name: str, on_progress: OnProgress | None
) -> tuple[Tensor, Tensor]:
    """Return logits [N, C], and labels [N] or targets [N, C]."""
    if name == "valid":
        return validation_logits(classifier, on_progress=on_progress)[0], validation_labels(
            classifier
        )
    found = predict_table(
        [classifier], table, lambda logits: logits[0][0], on_progress=on_progress
    ).scores
    return found, torch.from_numpy(table.truth)
