"""A classifier's logits of its validation set, computed once and kept beside its weights."""

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tunewright.classification.inference.predict import predict_table, square_of
from tunewright.classification.inference.tta_views import IMAGE, View
from tunewright.errors import DataError, NotWritten
from tunewright.images.dataset.content_hash import content_keys, joined_digest
from tunewright.images.image_table import ImageTable
from tunewright.runs.atomic import write_with
from tunewright.runs.callbacks import OnProgress

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier

FILE = "validation_logits.safetensors"


def validation_logits(
    classifier: "Classifier",
    views: Sequence[View] = (IMAGE,),
    *,
    on_progress: OnProgress | None = None,
) -> Tensor:
    """Return the logits of the validation set in every view: [V, N, C] float32, on the CPU.

    They are kept in the run folder, if it is writable, and computed again after weights or pictures
    have changed. Raises DataError if the validation set is gone, or one of its pictures cannot be
    read.
    """
    table = classifier.sets.valid
    file = classifier.folder.path / FILE
    digest = _digest(classifier, table)
    kept = _read_cached(file, digest)
    missing = [view for view in views if view.name not in kept]
    if missing:
        found = predict_table(
            [classifier],
            table,
            lambda logits: logits[0].transpose(0, 1),
            views=missing,
            on_progress=on_progress,
        ).scores
        kept |= {view.name: found[:, i].contiguous() for i, view in enumerate(missing)}
        header = {"digest": digest}
        with contextlib.suppress(NotWritten):  # a read-only folder stays as it is
            write_with(file, lambda place: save_file(kept, place, metadata=header))
    return torch.stack([kept[view.name] for view in views])


def validation_labels(classifier: "Classifier") -> Tensor:
    """Return the labels of the validation set: [N] int64, or bool [N, C] where it has several."""
    return torch.from_numpy(classifier.sets.valid.truth)


def check_same_pictures(members: Sequence["Classifier"]) -> None:
    """Raise DataError unless all members have equal validation pictures in equal order."""
    first = members[0].sets.valid
    for other in members[1:]:
        table = other.sets.valid
        if table.ids == first.ids and np.array_equal(table.truth, first.truth):
            continue
        raise DataError(
            f"{members[0].folder.path} and {other.folder.path} are validated on different pictures",
            expected="the same validation set for all",
            remedy="Train them with the same data, val_split, split_seed and fold.",
        )


def _read_cached(file: Path, digest: str) -> dict[str, Tensor]:
    try:
        with safe_open(file, framework="pt") as opened:
            if (opened.metadata() or {}).get("digest") != digest:
                return {}
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return {}


def _digest(classifier: "Classifier", table: ImageTable) -> str:
    """Return a hash of the content of these weights, pictures and labels."""
    found = hashlib.blake2b(digest_size=16)
    weights = classifier.folder.checkpoints / "best.safetensors"
    try:
        with weights.open("rb") as stream:
            found.update(hashlib.file_digest(stream, "blake2b").digest())
    except OSError as error:
        raise DataError(f"{weights} cannot be read ({error.strerror})") from None
    size, resize = square_of(classifier)
    form = size if resize == "squash" else (size, resize)  # earlier versions always squashed
    found.update(repr((form, classifier.classes, classifier.normalise)).encode())
    found.update(joined_digest(content_keys(table)).encode())
    found.update(table.truth.tobytes())
    return found.hexdigest()
