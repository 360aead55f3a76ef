"""Stream pictures that do not fit in memory or on disk: decode them while the model trains.

torch's `DataLoader` decodes; order, augmentation and mixing are those of `ImageBatches`, done in
this process on whole batches.
"""

import logging
import multiprocessing
import shutil
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import torch
from torch import Tensor

from tunewright.errors import DataError
from tunewright.images.dataset.config import Resize
from tunewright.images.image_table import ImageTable
from tunewright.images.loading.batches import Finishing, ImageBatch
from tunewright.images.loading.batching import Batching
from tunewright.images.loading.decode_workers import AHEAD, Decoder, Processes, Threads
from tunewright.images.loading.sampler import Order
from tunewright.images.loading.square import SquareInput

SHARED_MEMORY = Path("/dev/shm")


class StreamedBatches:
    """`ImageBatches` from the files of a table, scaled to `size`; the same order and randomness.

    resize: how pictures are fitted, see `as_uint8`. workers: processes that decode, kept across
    epochs and ended with this object or by `close`; None: as many as this process may use threads;
    0: threads of this process, which are also used if processes cannot be started. The other
    arguments are those of `ImageBatches`. A picture that cannot be read raises DataError with its
    file. One epoch at a time.
    """

    def __init__(
        self,
        table: ImageTable,
        size: int,
        batching: Batching,
        finishing: Finishing,
        *,
        resize: Resize = "squash",
        weights: Tensor | None = None,
        workers: int | None = None,
    ) -> None:
        self.order, self.finishing = Order(torch.arange(len(table)), batching, weights), finishing
        self.labels, self.places = torch.tensor(table.truth), table.places
        wanted = torch.get_num_threads() if workers is None else workers
        # A daemonic process cannot have children.
        self.workers = 0 if multiprocessing.current_process().daemon else wanted
        self.square = SquareInput(size, resize)
        self._decoding: Processes | Threads | None = None

    def __len__(self) -> int:
        """Return the number of micro-batches in an epoch."""
        return len(self.order) * self.order.batching.micro_batches

    def epoch(self, epoch: int) -> Iterator[ImageBatch]:
        """Yield the micro-batches of one epoch; a pure function of seed and epoch."""
        if self._decoding is None:
            self._decoding = self._start()
        finish = self.finishing.epoch(self.order.batching, epoch)
        batching = self.order.batching
        whole = self.order.epoch(epoch)
        batches = [rows[self.finishing.needed(batching, len(rows))] for rows in whole]
        places = self.places  # not `self.places`: the generator would keep `self` alive
        tasks = ([places[row] for row in rows.tolist()] for rows in batches)
        decoded = self._decoding.batches(tasks)
        for images, rows, batch in zip(decoded, batches, whole, strict=True):
            if isinstance(images, str):
                raise DataError(images)
            take = torch.as_tensor(images).__getitem__
            yield from finish(take, self.labels[rows], rows, len(batch))

    def of_rank(self, rank: int, ranks: int) -> "StreamedBatches":
        """Return the part of each micro-batch that one of several processes has."""
        found = copy(self)
        found.order = self.order.of_rank(rank, ranks)
        return found

    def close(self) -> None:
        """End the workers; another epoch would start new ones."""
        if self._decoding is not None:
            self._decoding.close()
        self._decoding = None

    def _start(self) -> Processes | Threads:
        batch_bytes = self.order.batching.batch_size * 3 * self.square.size**2
        decoder = Decoder(
            self.square, in_shared_memory=_shared_bytes() > 2 * batch_bytes * AHEAD * self.workers
        )
        pinned = self.finishing.device.type == "cuda"
        if self.workers:
            processes = Processes(decoder, self.workers, pinned=pinned)
            try:
                processes.start()
            except (OSError, EOFError) as error:
                logging.getLogger(__name__).warning(
                    "cannot start worker processes to decode pictures (%s): using threads", error
                )
                self.workers = 0
            else:
                return processes
        return Threads(decoder, torch.get_num_threads(), pinned=pinned)


def _shared_bytes() -> int:
    """Return the free shared memory in bytes; containers often have little."""
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 0
