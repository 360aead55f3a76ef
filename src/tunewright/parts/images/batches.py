"""Pictures in batches: gathered, augmented, normalised and mixed on whole batches, without a loader.

`ImageBatches` draws from one uint8 tensor, mapped or on the device.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tunewright.parts.images.augment import Augment
    from tunewright.parts.images.mixing import Mix


class ImageBatch(NamedTuple):
    """What a step trains on.

    images [B, 3, S, S] float32, normalised; labels [B] int64; others [B] int64, the second label
    of a mixed picture; share [B] float32, the weight of `labels`, 1 where nothing is mixed;
    rows [B] int64, in the set's table.
    """

    images: Tensor
    labels: Tensor
    others: Tensor
    share: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Normalisation:
    """What is subtracted from each channel of a picture in [0, 1], then divided by."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class ImageBatches:
    """Batches of a set of pictures; for training and evaluation loops (a `training.task.Loader`).

    images: uint8 [N, 3, S, S], mapped or on a device; labels: [N] int64. weights: [N]; rows are
    drawn with replacement in proportion, N an epoch. Batches come on `device`.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        batch_size: int,
        seed: int,
        normalise: Normalisation,
        augment: "Augment | None" = None,
        mix: "Mix | None" = None,
        weights: Tensor | None = None,
        micro_batches: int = 1,
        device: torch.device | str = "cpu",
        shuffle: bool = True,
        drop_last: bool = True,
    ) -> None:
        raise NotImplementedError

    def __len__(self) -> int:
        """Micro-batches in an epoch."""
        raise NotImplementedError

    def epoch(self, epoch: int) -> Iterator[ImageBatch]:
        """The batches of one epoch, a micro-batch at a time; a pure function of seed and epoch."""
        raise NotImplementedError

    def resident(self, device: torch.device | str, budget_bytes: int) -> "ImageBatches":
        """The same batches with all pictures moved to `device`, if they fit into the budget."""
        raise NotImplementedError
