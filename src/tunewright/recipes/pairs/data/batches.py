"""Embeddings as tensors: mapped from their files and gathered in batches, without a loader."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tunewright.errors import DataError
from tunewright.images.loading.batching import Batching
from tunewright.recipes.pairs.data.array_files import ArrayFile, describe, map_rows
from tunewright.training.device import copies_on


def open_tensor(path: Path | str | ArrayFile) -> Tensor:
    """Map a `.npy`, `.safetensors` or `.pt` matrix as a tensor [rows, width], in its own dtype.

    Bytes are read when they are used, and all processes on a machine share the pages; writing to
    the tensor changes a private copy, never the file. A `.pt` is mapped at the offset of its
    numbers, so nothing is unpickled. Raises DataError as `array_files.describe` does.
    """
    file = path if isinstance(path, ArrayFile) else describe(path)
    tensor = torch.from_numpy(np.asarray(map_rows(file, "c")))
    return tensor.view(torch.bfloat16) if file.dtype == "bfloat16" else tensor


class PairBatches:
    """Batches of pairs, each gathered with one index operation per side.

    images: [N, width of images], texts: [N, width of texts], ids: [N] int64; equal ids are
    positives of each other. Batches come as `dtype` on `device`.
    Raises DataError when the lengths differ, or a part would have no row.
    """

    def __init__(
        self,
        images: Tensor,
        texts: Tensor,
        ids: Tensor,
        batching: Batching,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if not len(images) == len(texts) == len(ids) > 0:
            raise DataError(
                f"{len(images):,} images, {len(texts):,} texts and {len(ids):,} ids",
                expected="the same number of each, at least one",
            )
        self.images, self.texts, self.ids = images, texts, ids
        self.batching = batching.limit_to(len(ids))
        self.device, self.dtype = torch.device(device), dtype

    def __len__(self) -> int:
        """Micro-batches in an epoch."""
        return self._batches * self.batching.micro_batches

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the batches of one epoch; their rows depend on seed and epoch alone.

        Yields images [B, width], texts [B, width], ids [B], a micro-batch at a time.
        """
        if not self.batching.shuffle:
            yield from self._in_order()
            return
        # Moved as a whole: sending a few indices per batch would wait for the GPU each time.
        order = self._order(epoch).to(self.ids.device)
        for batch in torch.split(order, self.batching.batch_size)[: self._batches]:
            for part in self.batching.parts(len(batch)):
                yield self._gather(
                    batch[part]
                )  # sorting them first measured no faster from a warm file

    def of_rank(self, rank: int, ranks: int) -> "PairBatches":
        """Return the part of each micro-batch that one of several processes has."""
        batching = self.batching.of_rank(rank, ranks)
        return PairBatches(
            self.images, self.texts, self.ids, batching, device=self.device, dtype=self.dtype
        )

    def resident(self, device: torch.device | str, budget_bytes: int) -> "PairBatches":
        """Return the same batches with all tensors moved to `device`, if they fit into the budget.

        Moving once costs less than copying every batch, and a copy made before is reused, so the
        next trial of a warm worker copies nothing. If the tensors do not fit, batches still come
        from the mapped files, and each batch is copied to `device`.
        """
        device = torch.device(device)
        tensors = (self.images, self.texts, self.ids)
        images, texts, ids = copies_on(device, tensors, budget_bytes) or tensors
        return PairBatches(images, texts, ids, self.batching, device=device, dtype=self.dtype)

    @property
    def _batches(self) -> int:
        return self.batching.count(len(self.ids))

    def _order(self, epoch: int) -> Tensor:
        # a sequence, so that (seed 1, epoch 2) and (seed 2, epoch 1) are different orders
        state = int(
            np.random.SeedSequence([self.batching.seed, epoch]).generate_state(1, np.uint64)[0] >> 1
        )
        return torch.randperm(len(self.ids), generator=torch.Generator().manual_seed(state))

    def _gather(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images, texts = (
            side.index_select(0, rows).to(self.device, self.dtype)
            for side in (self.images, self.texts)
        )
        return images, texts, self.ids.index_select(0, rows).to(self.device)

    def _in_order(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Rows as they lie: views of the tensors, where these have the device and the dtype."""
        size = self.batching.batch_size
        for at in range(0, self._batches * size, size):
            images, texts, ids = (
                side[at : at + size] for side in (self.images, self.texts, self.ids)
            )
            for part in self.batching.parts(len(ids)):
                yield (
                    images[part].to(self.device, self.dtype),
                    texts[part].to(self.device, self.dtype),
                    ids[part].to(self.device),
                )
