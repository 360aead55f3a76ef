"""Decode whole batches of pictures ahead of time, in threads or in worker processes."""

import multiprocessing
import signal
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import ModuleType
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from tunewright.errors import ConfigError, DataError, RunError
from tunewright.images.image_table import PicturePlace
from tunewright.images.loading.square import Pixels, SquareInput, as_uint8
from tunewright.images.sources.reader import PictureReader

T = TypeVar("T")
AHEAD = 2
"""Batches that each worker keeps ready."""
PRELOAD = ["tunewright.images.loading.decode_workers"]
"""Modules that the fork server imports once for all workers."""


class Decoder(Dataset[Tensor]):
    """Decodes the pictures of a batch; a worker holds it, and it holds no pictures and no table.

    in_shared_memory: hand batches over as tensors there, else as arrays through a pipe.
    """

    def __init__(self, square: SquareInput, *, in_shared_memory: bool) -> None:
        self.square, self.size, self.in_shared_memory = square, square.size, in_shared_memory
        self.reader = PictureReader()

    def __getitem__(self, _index: int) -> Tensor:
        """Raise NotImplementedError: the loader asks for whole batches only."""
        raise NotImplementedError

    def __getitems__(self, places: Sequence[PicturePlace]) -> "Tensor | Pixels | str":
        """Decode a batch, uint8 [B, 3, size, size], or return the message of what failed.

        An exception would leave the worker wrapped in the stack traces of both processes.
        """
        images = np.empty((len(places), 3, self.size, self.size), np.uint8)
        try:
            for row, place in enumerate(places):
                images[row] = self.one(place)
        except (ConfigError, DataError) as error:
            return str(error)
        return torch.from_numpy(images) if self.in_shared_memory else images

    def one(self, place: PicturePlace) -> Pixels:
        """Decode one picture, uint8 [3, size, size]; raises DataError."""
        return as_uint8(self.reader.picture(place), *self.square)


class Tasks(Sampler[list[PicturePlace]]):
    """The places of each batch of the current epoch."""

    def __init__(self) -> None:
        self.batches: Iterable[list[PicturePlace]] = ()

    def __iter__(self) -> Iterator[list[PicturePlace]]:
        return iter(self.batches)


class Processes:
    """Worker processes that decode batches, from the first epoch until `close`.

    pinned: batches arrive in pinned memory, from which a GPU copies while other work goes on.
    """

    def __init__(self, decoder: Decoder, workers: int, *, pinned: bool) -> None:
        self._tasks = Tasks()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        with warnings.catch_warnings():  # torch advises against more workers than cores
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
            self._loader: DataLoader[Tensor] = DataLoader(
                decoder,
                batch_sampler=self._tasks,  # of places, not of numbers
                num_workers=workers,
                collate_fn=_as_it_is,
                multiprocessing_context=context,
                persistent_workers=True,
                prefetch_factor=AHEAD,
                pin_memory=pinned,
                generator=torch.Generator(),  # else every epoch would draw from the global one
            )

    def start(self) -> None:
        """Start the workers; raises OSError or EOFError if that is not possible."""
        # There are no tasks yet, so the workers wait.
        with _nothing_of_the_script():
            iter(self._loader)

    def close(self) -> None:
        """End the workers, as soon as nothing iterates over them."""
        del self._loader

    def batches(self, tasks: Iterable[list[PicturePlace]]) -> Iterator["Tensor | Pixels | str"]:
        """Yield what `Decoder.__getitems__` returns for each task, in order; one epoch at a time.

        Raises RunError if a worker dies.
        """
        self._tasks.batches = tasks
        try:
            yield from self._loader
        except RuntimeError as error:
            if "worker" not in str(error):
                raise
            raise RunError(
                f"a worker process that decodes pictures died ({error})",
                remedy="The machine may be out of memory: lower data.workers or "
                "training.batch_size.",
            ) from None


class Threads:
    """The same as `Processes` in threads of this process, for where processes cannot be started."""

    def __init__(self, decoder: Decoder, threads: int, *, pinned: bool) -> None:
        self._decoder, self._pinned = decoder, pinned
        # Owned by this object and not by the generator below: Python closes a generator that an
        # error left behind whenever it collects it, and joining threads there can deadlock.
        self._pool = ThreadPoolExecutor(threads)

    def batches(self, tasks: Iterable[list[PicturePlace]]) -> Iterator["Tensor | Pixels | str"]:
        """Yield the same as `Processes.batches`."""
        ahead: deque[list[Future[Pixels]]] = deque()
        try:
            for places in tasks:
                ahead.append([self._pool.submit(self._decoder.one, place) for place in places])
                if len(ahead) > AHEAD:
                    yield self._gather(ahead.popleft())
            while ahead:
                yield self._gather(ahead.popleft())
        finally:  # an interrupted epoch
            for future in (future for futures in ahead for future in futures):
                future.cancel()

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _gather(self, futures: list[Future[Pixels]]) -> "Tensor | str":
        size = self._decoder.size
        images = torch.empty(
            (len(futures), 3, size, size), dtype=torch.uint8, pin_memory=self._pinned
        )
        into = images.numpy()
        try:
            for row, future in enumerate(futures):
                into[row] = future.result()
        except (ConfigError, DataError) as error:
            return str(error)
        return images


def _as_it_is(batch: T) -> T:
    return batch


@contextmanager
def _nothing_of_the_script() -> Iterator[None]:
    """Start processes that neither import the main script nor receive its Ctrl-C.

    A script without a main guard would start its work again in each of them.
    """
    script = sys.modules["__main__"]
    resource_tracker.ensure_running()  # starting it later would unblock SIGINT again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
