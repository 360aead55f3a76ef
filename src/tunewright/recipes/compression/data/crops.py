"""Random crops of photographs in batches; a pure function of seed and epoch."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from tunewright.images.image_table import ImageTable
from tunewright.images.loading.batching import Batching
from tunewright.images.loading.sampler import Order, generator_of
from tunewright.images.loading.square import Pixels
from tunewright.images.sources.reader import PictureReader
from tunewright.recipes.compression.data.photo_store import PhotoStore, planes

AHEAD = 2
"""Batches that are decoded in advance when streaming."""
CENTRE = 0.5


class Photographs(Protocol):
    """Decoded photographs by their row."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Pixels:
        """Return a photograph, uint8 [3, height, width]; it must not be changed."""
        ...


class Cut(NamedTuple):
    """A crop's photograph, its position as shares (0 to 1) of the free space, and its flips."""

    row: int
    down: float = CENTRE
    right: float = CENTRE
    hflip: bool = False
    vflip: bool = False


class ResidentPhotos:
    """The photographs of a store; none is read before it is used."""

    def __init__(self, store: PhotoStore) -> None:
        self._pixels: Pixels = np.load(store.file, mmap_mode="r")
        self._at = store.at.tolist()

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, row: int) -> Pixels:
        """Return a view of the mapped file."""
        start, height, width = self._at[row]
        flat = self._pixels[start : start + 3 * height * width]
        return flat.reshape(3, height, width)


class StreamedPhotos:
    """The photographs of a table, decoded each time; DataError for one that cannot be."""

    def __init__(self, table: ImageTable) -> None:
        self._places, self._reader = table.places, PictureReader()

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, row: int) -> Pixels:
        """Decode a photograph."""
        return planes(self._reader.picture(self._places[row]))


@dataclass(frozen=True)
class Cropping:
    """The crops of a photograph: their side in pixels, their number, how often each is mirrored."""

    crop: int
    per_photo: int = 1
    hflip: float = 0.0
    vflip: float = 0.0


class Crops:
    """Batches of crops [B, 3, crop, crop], float32 in 0 to 1 (a `training.task.Loader`).

    Without `batching.shuffle` they are the centres of the photographs, not mirrored. threads: that
    decode ahead; 0 for photographs that are there already. Raises DataError when a part would have
    no crop.
    """

    def __init__(
        self,
        photos: Photographs,
        cropping: Cropping,
        batching: Batching,
        *,
        device: torch.device | str = "cpu",
        threads: int = 0,
    ) -> None:
        rows = torch.arange(len(photos)).repeat(cropping.per_photo)
        remedy = "Lower training.accumulate, or raise data.crops_per_photo."
        self.order = Order(rows, batching.limit_to(len(rows), of="crop", remedy=remedy))
        self.photos, self.cropping = photos, cropping
        self.device, self.threads = torch.device(device), threads
        # Owned by this object, not by a generator: dropped after an error, that one is closed
        # whenever Python collects it, and joining threads there can deadlock.
        self._pool = ThreadPoolExecutor(threads) if threads else None

    def __len__(self) -> int:
        """Micro-batches in an epoch."""
        return len(self.order) * self.order.batching.micro_batches

    def epoch(self, epoch: int) -> Iterator[Tensor]:
        """Yield the crops of one epoch, a micro-batch at a time; a function of seed and epoch."""
        batching = self.order.batching
        parts = [batching.parts(len(rows)) for rows in self.order.epoch(epoch)]
        own = (
            [cut for part in of_batch for cut in cuts[part]]
            for cuts, of_batch in zip(self.cuts(epoch), parts, strict=True)
        )
        for crops, of_batch in zip(self._gather(own), parts, strict=True):
            for part in crops.split([part.stop - part.start for part in of_batch]):
                yield part.to(self.device, non_blocking=True).div(255.0)  # float32, in one pass

    def of_rank(self, rank: int, ranks: int) -> "Crops":
        """Return the part of each micro-batch that one of several processes has."""
        found = copy(self)
        found.order = self.order.of_rank(rank, ranks)
        return found

    def cuts(self, epoch: int) -> Iterator[list[Cut]]:
        """Yield where the crops of each batch are cut."""
        generator = generator_of(self.order.batching.seed, epoch, "augment")
        for batch in self.order.epoch(epoch):
            rows = batch.tolist()
            if not self.order.batching.shuffle:
                yield [Cut(row) for row in rows]
                continue
            mirror = self.cropping
            drawn = torch.rand(len(rows), 4, generator=generator, dtype=torch.float64).tolist()
            yield [
                Cut(row, down, right, across < mirror.hflip, over < mirror.vflip)
                for row, (down, right, across, over) in zip(rows, drawn, strict=True)
            ]

    def _gather(self, batches: Iterator[list[Cut]]) -> Iterator[Tensor]:
        """Yield the crops of each batch: uint8 [B, 3, crop, crop], in pinned memory for a GPU."""
        if self._pool is None:
            for cuts in batches:
                yield self._together([self._one(at) for at in cuts])
            return
        ahead: deque[list[Future[Pixels]]] = deque()
        try:
            for cuts in batches:
                ahead.append([self._pool.submit(self._one, at) for at in cuts])
                if len(ahead) > AHEAD:
                    yield self._together([future.result() for future in ahead.popleft()])
            while ahead:
                yield self._together([future.result() for future in ahead.popleft()])
        finally:  # an epoch that was broken off
            for future in (future for futures in ahead for future in futures):
                future.cancel()

    def _one(self, at: Cut) -> Pixels:
        part = cut(self.photos[at.row], at, self.cropping.crop)
        return part if self._pool is None else part.copy()  # lets go of the photograph

    def _together(self, crops: Sequence[Pixels]) -> Tensor:
        shape = (len(crops), 3, self.cropping.crop, self.cropping.crop)
        batch = torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        into = batch.numpy()
        for row, pixels in enumerate(crops):
            into[row] = pixels
        return batch


def cut(photo: Pixels, at: Cut, crop: int) -> Pixels:
    """Cut a crop, uint8 [3, crop, crop], from a photograph [3, H, W]; usually a view.

    A photograph smaller than the crop is first mirrored at its edges, repeatedly if necessary. A
    width of 10 and a crop of 8 leave 3 positions: right = 0.5 starts at floor(0.5 * 3) = 1.
    """
    _, height, width = photo.shape
    top = math.floor(at.down * (max(height - crop, 0) + 1))
    left = math.floor(at.right * (max(width - crop, 0) + 1))
    part = photo[:, top : top + crop, left : left + crop]
    if min(height, width) < crop:
        missing = [crop - side for side in part.shape[1:]]
        edges = [(0, 0), *((gap // 2, gap - gap // 2) for gap in missing)]
        part = np.pad(part, edges, mode="symmetric")
    return part[:, :: -1 if at.vflip else 1, :: -1 if at.hflip else 1]
