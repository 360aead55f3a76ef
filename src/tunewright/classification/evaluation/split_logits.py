"""What a classifier says about the pictures of a split."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tunewright.classification.inference.cached_logits import validation_labels, validation_logits
from tunewright.classification.inference.predict import predict_table
from tunewright.images.image_table import ImageTable
from tunewright.runs.callbacks import OnProgress

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier


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
