"""Batches of pictures: gathered, augmented, normalised and mixed a batch at a time."""

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from tunewright.errors import DataError
from tunewright.images.augment.augment import Augment
from tunewright.images.augment.mixup import Mix
from tunewright.images.loading.batching import Batching
from tunewright.images.loading.cpu_chunks import chunked_on_cpu
from tunewright.images.loading.sampler import Order, generator_of
from tunewright.images.loading.store import Store, open_store
from tunewright.training.device import copies_on


class ImageBatch(NamedTuple):
    """What a training step takes.

    images [B, 3, S, S] float32, normalised; labels [B] int64, or bool [B, C] where a picture may
    have several; others, of the same form, those of the picture mixed in; share [B] float32, the
    weight of `labels`, 1 if nothing is mixed; rows [B] int64, in the set's table.
    """

    images: Tensor
    labels: Tensor
    others: Tensor
    share: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each channel, for pictures in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


Take = Callable[[slice], Tensor]
"""Returns the pictures of a part of a batch: new uint8 [b, 3, S, S], which may be changed."""
Finish = Callable[[Take, Tensor, Tensor, int], Iterator[ImageBatch]]
"""Makes the micro-batches of a batch, from its pictures, labels [B] and rows [B].

These are of what `Finishing.needed` names; the number is that of the rows of the whole batch.
"""

CPU = torch.device("cpu")
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class ImageBatches:
    """Batches of a set of pictures, for training and evaluation (a `training.task.Loader`).

    images: uint8 [R, 3, S, S], mapped (`map_store`) or on a device. labels: int64 [N], one for each
    row of the table, or bool [N, C]. rows_of: int64 [N], the row of `images` that shows it, or
    below 0 to leave it out; None: images and labels have the same rows. weights: [N]; rows are then
    drawn with replacement, in proportion, as many as take part. A batch is augmented and mixed
    before it is cut into micro-batches, so its pictures do not depend on their number.

    Raises DataError if lengths differ, a part would have no row, or weights cannot be used.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batching: Batching,
        finishing: "Finishing",
        *,
        rows_of: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> None:
        rows = len(images) if rows_of is None else len(rows_of)
        if len(labels) != rows:
            raise DataError(
                f"{rows:,} pictures and {len(labels):,} labels", expected="the same number of each"
            )
        shown = torch.arange(rows) if rows_of is None else (rows_of >= 0).nonzero().squeeze(1)
        if weights is not None and len(weights) == rows:
            weights = weights[shown]
        self.order, self.finishing = Order(shown, batching, weights), finishing
        self.images, self.labels, self.rows_of = images, labels, rows_of

    def __len__(self) -> int:
        """Return the number of micro-batches in an epoch."""
        return len(self.order) * self.order.batching.micro_batches

    def epoch(self, epoch: int) -> Iterator[ImageBatch]:
        """Yield the micro-batches of one epoch; a pure function of seed and epoch."""
        finish = self.finishing.epoch(self.order.batching, epoch)
        for batch in self.order.epoch(epoch):
            rows = batch[self.finishing.needed(self.order.batching, len(batch))]
            places = rows if self.rows_of is None else self.rows_of[rows]
            yield from finish(self._make_take(places), self.labels[rows], rows, len(batch))

    def of_rank(self, rank: int, ranks: int) -> Self:
        """Return the part of each micro-batch that one of several processes has."""
        found = copy(self)
        found.order = self.order.of_rank(rank, ranks)
        return found

    def resident(self, device: torch.device | str, budget_bytes: int) -> Self:
        """Return the same batches with all pictures moved to `device`, if they fit into the budget.

        Moving them once costs less than copying every batch. If they do not fit, or are there
        already, batches keep coming from where they are, and only the batches go to `device`.
        """
        device = torch.device(device)
        moved = copy(self)
        moved.finishing = replace(self.finishing, device=device)
        (moved.images,) = copies_on(device, (self.images,), budget_bytes) or (self.images,)
        return moved

    def _make_take(self, places: Tensor) -> Take:
        images, device = self.images, self.finishing.device
        if device.type == "cuda" and images.device.type == "cpu":
            return lambda part: _pin(images, places[part])
        there = places.to(images.device, non_blocking=True)
        return lambda part: images.index_select(0, there[part])


def _pin(images: Tensor, places: Tensor) -> Tensor:
    """Gather pictures into pinned memory, from which a GPU copies while other work goes on."""
    # torch caches pinned memory, and reuses it only after the copy is done.
    shape = (len(places), *images.shape[1:])
    pinned = torch.empty(shape, dtype=images.dtype, pin_memory=True)
    return torch.index_select(images, 0, places, out=pinned)


@dataclass(frozen=True)
class Finishing:
    """The steps from gathered pictures to a training batch, equal for all kinds of batches.

    device: where batches arrive.
    """

    normalise: Normalisation
    augment: Augment | None = None
    mix: Mix | None = None
    device: torch.device = CPU

    def needed(self, batching: Batching, count: int) -> Tensor | slice:
        """Return which of the `count` rows of a batch this process reads.

        Those that it trains on; all where pictures are mixed with others of the batch.
        """
        if batching.ranks == 1 or self.mix is not None:
            return slice(None)
        return torch.cat([torch.arange(p.start, p.stop) for p in batching.parts(count)])

    def epoch(self, batching: Batching, epoch: int) -> Finish:
        """Return the function that finishes the batches of an epoch, one after the other."""
        augmenting, mixing = (generator_of(batching.seed, epoch, use) for use in ("augment", "mix"))

        def finish(take: Take, labels: Tensor, rows: Tensor, count: int) -> Iterator[ImageBatch]:
            uniform = None if self.augment is None else self.augment.draw(count, augmenting)
            if uniform is not None:
                uniform = uniform[self.needed(batching, count)]
            images = self._vary(take, len(rows), uniform)
            labels, rows = (tensor.to(self.device, non_blocking=True) for tensor in (labels, rows))
            if self.mix is None:
                others, share = labels, torch.ones(len(rows), device=self.device)
            else:
                images, others, share = self.mix(images, labels, mixing)
            parts = batching.parts(count)
            if len(rows) < count:  # only those of the parts are there, one after the other
                ends = [0, *accumulate(part.stop - part.start for part in parts)]
                parts = [slice(*edges) for edges in pairwise(ends)]
            for part in parts:
                yield ImageBatch(
                    *(tensor[part] for tensor in (images, labels, others, share, rows))
                )

        return finish

    def _vary(self, take: Take, count: int, uniform: Tensor | None) -> Tensor:
        """Augment and normalise `count` pictures by their numbers: float32 [count, 3, S, S]."""

        def vary(part: slice) -> Tensor:
            images = take(part).to(self.device, non_blocking=True)
            if self.augment is None or uniform is None:
                return images
            return self.augment.by_numbers(images, uniform[part])

        if self.device.type != "cpu":
            return normalise(vary(slice(0, count)), self.normalise)
        shape = take(slice(0, 1)).shape[1:]
        whole = torch.empty(count, *shape)

        def work(part: slice) -> None:
            normalise(vary(part), self.normalise, out=whole[part])

        chunked_on_cpu(work, count, 4 * shape.numel())
        return whole


def normalise(images: Tensor, normalise: Normalisation, out: Tensor | None = None) -> Tensor:
    """Scale pictures, uint8 or floats in [0, 1], to float32 of mean 0 and deviation 1 a channel.

    out: where to write them; without it, floats are changed in place.
    """
    white = 1.0 if images.is_floating_point() else 255.0
    mean, std = (
        torch.tensor(numbers).to(images.device, non_blocking=True).view(1, 3, 1, 1)
        for numbers in (normalise.mean, normalise.std)
    )
    # (x / white - mean) / std = x * 1 / (white * std) - mean / std: uint8 255 with mean and
    # std 0.5 becomes 255 * (1 / 127.5) - 1 = 1.
    floats = images.float() if out is None else out.copy_(images)
    return floats.mul_(1 / (white * std)).sub_(mean / std)


def map_store(store: Store) -> Tensor:
    """Map the pictures of a store, uint8 [rows, 3, size, size]; they are read when first used.

    All processes on a machine share the pages. Writing changes a private copy.
    """
    return torch.from_numpy(np.asarray(open_store(store, private=True)))
