"""Pictures that are too many to keep: decoded by worker processes while the model trains."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tunewright.parts.images.batches import ImageBatch, Normalisation

if TYPE_CHECKING:
    from tunewright.parts.images.augment import Augment
    from tunewright.parts.images.mixing import Mix
    from tunewright.parts.images.table import ImageTable


class StreamedBatches:
    """`ImageBatches` from the files of a table, scaled to `size`; the same order and randomness.

    workers: processes that decode, kept across epochs, ended with the loader (`close`);
    None: as many as there are cores for this process; 0: decode in this process.
    """

    def __init__(
        self,
        table: "ImageTable",
        *,
        size: int,
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
        workers: int | None = None,
    ) -> None:
        raise NotImplementedError

    def __len__(self) -> int:
        """Micro-batches in an epoch."""
        raise NotImplementedError

    def epoch(self, epoch: int) -> Iterator[ImageBatch]:
        """The batches of one epoch, a micro-batch at a time; a pure function of seed and epoch."""
        raise NotImplementedError

    def close(self) -> None:
        """End the workers; the next epoch would start new ones."""
        raise NotImplementedError
