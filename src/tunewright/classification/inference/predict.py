"""Predict with classifiers; pictures are decoded on all cores while the models work."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from tunewright.classification.inference.tta import apply_view
from tunewright.classification.inference.tta_views import IMAGE, View
from tunewright.errors import DataError
from tunewright.images.image_table import ImageTable
from tunewright.images.loading.square import SquareInput, as_uint8
from tunewright.images.sources.reader import PictureReader
from tunewright.images.thread_map import time_items, useful_threads
from tunewright.runs.callbacks import OnProgress

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier

PIXELS_AT_ONCE = 2**20
"""Pixels of a batch on the CPU, where larger ones are no faster; 8 times as many on a GPU."""
BATCHES_AHEAD = 4
NAMED = 10
"""Number of unreadable files that an error names."""
SAID_SECONDS = 0.2


Square = int | SquareInput
"""A side in pixels, to which pictures are squashed, or also how they are fitted to it."""


class DecodedChunk(NamedTuple):
    """Pictures `start` to `stop` of a table; bad ones are black in `images`.

    images: uint8 [B, 3, S, S] by the square that they are fitted to. bad: reasons by row.
    """

    start: int
    stop: int
    images: Mapping[Square, Tensor]
    bad: Mapping[int, str]


Begun = tuple[int, int, Mapping[Square, Tensor], Sequence[Callable[[], dict[int, str]]]]
"""A batch under way: a `DecodedChunk` whose `bad` its parts tell when they are done."""


class DecodedBatches(AbstractContextManager["DecodedBatches"]):
    """The pictures of a table in order, in batches, decoded ahead; for use in a `with` block.

    squares: every side and fit that is needed; a file is decoded once for all. pin: use pinned
    memory, from which a GPU copies while it works. ahead: batches that are decoded while one is
    used; may be changed during iteration. waited: seconds spent waiting for the last batch.
    """

    def __init__(
        self,
        table: ImageTable,
        squares: Sequence[Square],
        batch_size: int,
        *,
        pin: bool = False,
        ahead: int = BATCHES_AHEAD,
    ) -> None:
        self.table, self.squares, self.batch_size, self.pin = table, squares, batch_size, pin
        self.ahead, self.waited = ahead, 0.0
        self._files = PictureReader()
        self._threads = useful_threads(time_items(self._try, len(table)))
        self._pool = ThreadPoolExecutor(self._threads)

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __iter__(self) -> Iterator[DecodedChunk]:
        ahead: deque[Begun] = deque()
        for start in range(0, len(self.table), self.batch_size):
            ahead.append(self._start_batch(start, min(start + self.batch_size, len(self.table))))
            if len(ahead) > self.ahead:  # bounds the memory of queued pictures
                began = time.perf_counter()
                batch = _whole(ahead.popleft())
                self.waited = time.perf_counter() - began
                yield batch
        while ahead:
            yield _whole(ahead.popleft())

    def _start_batch(self, start: int, stop: int) -> Begun:
        images = {
            square: torch.empty(
                (stop - start, 3, *2 * (_side(square),)),
                dtype=torch.uint8,
                pin_memory=self.pin,
            )
            for square in self.squares
        }
        pixels = {square: tensor.numpy() for square, tensor in images.items()}
        if self._threads == 1 and self.ahead == 0:  # decode on request, in this thread
            return start, stop, images, [partial(self._decode, start, range(start, stop), pixels)]
        # Some pictures a task: of small ones, a task each would cost more than its picture.
        step = max(1, min(32, (stop - start) // self._threads))
        tasks = [
            self._pool.submit(self._decode, start, range(row, min(row + step, stop)), pixels).result
            for row in range(start, stop, step)
        ]
        return start, stop, images, tasks

    def _try(self, row: int) -> None:
        with contextlib.suppress(DataError):
            picture = self._files.picture(self.table.places[row])
            for square in self.squares:
                _fit(picture, square)

    def _decode(
        self, start: int, rows: range, pixels: Mapping[Square, npt.NDArray[np.uint8]]
    ) -> dict[int, str]:
        bad = {}
        for row in rows:
            try:
                picture = self._files.picture(self.table.places[row])
            except DataError as error:
                bad[row] = str(error)
                for place in pixels.values():
                    place[row - start] = 0
                continue
            for square, place in pixels.items():
                place[row - start] = _fit(picture, square)
        return bad


def square_of(member: "Classifier") -> SquareInput:
    """Return what a classifier takes; a recipe's own kind that states a size only squashes."""
    found: SquareInput = getattr(member, "square", None) or SquareInput(member.size)
    return found


def _side(square: Square) -> int:
    return square if isinstance(square, int) else square.size


def _fit(picture: Image.Image, square: Square) -> npt.NDArray[np.uint8]:
    return as_uint8(picture, *((square,) if isinstance(square, int) else square))


def _whole(begun: Begun) -> DecodedChunk:
    start, stop, images, tasks = begun
    bad: dict[int, str] = {}
    for task in tasks:
        bad |= task()
    return DecodedChunk(start, stop, images, bad)


@dataclass(frozen=True)
class TablePredictions:
    """What `reduce` returned for each picture, [N, ...] on the CPU, and unreadable pictures."""

    scores: Tensor
    bad: Mapping[int, str]


def predict_table(
    members: Sequence["Classifier"],
    table: ImageTable,
    reduce: Callable[[list[Tensor]], Tensor],
    *,
    views: Sequence[View] = (IMAGE,),
    batch_size: int | None = None,
    skip_bad: bool = False,
    on_progress: OnProgress | None = None,
) -> TablePredictions:
    """Run every classifier on every picture of a table, in every view.

    reduce: gets the logits of a batch, [V, B, C] for each member, and returns [B, ...]. skip_bad:
    accept unreadable pictures; their rows in `scores` are meaningless. Otherwise raises DataError
    that names them.
    """
    if not len(table):
        raise DataError(f"no pictures in {table.origin}", expected="at least one")
    device = members[0].device
    squares = sorted({square_of(member) for member in members})
    size = batch_size or usual_batch_size(squares[-1].size, device)
    on_progress = on_progress or _silent
    on_gpu = device.type == "cuda"
    ahead = BATCHES_AHEAD if on_gpu else 0
    scores: list[Tensor] = []
    bad: dict[int, str] = {}
    said = 0.0
    with (
        torch.no_grad(),
        DecodedBatches(table, squares, size, pin=on_gpu, ahead=ahead) as batches,
    ):
        for number, batch in enumerate(batches):
            bad |= batch.bad
            began = time.perf_counter()
            if skip_bad or not bad:  # else only look for further bad ones
                here = {
                    square: images.to(device, non_blocking=True)
                    for square, images in batch.images.items()
                }
                scores.append(
                    reduce([_logits(member, here[square_of(member)], views) for member in members])
                )
            if number == 1 and not on_gpu:  # the first one warms up
                # Where the model wants the cores for long, decoding beside it makes its threads
                # wait for each other; where it does not, it should not wait for decoding.
                model_seconds = time.perf_counter() - began
                batches.ahead = BATCHES_AHEAD if batches.waited > model_seconds / 4 else 0
            if time.monotonic() - said > SAID_SECONDS or batch.stop == len(table):
                said = time.monotonic()
                on_progress(batch.stop, len(table))
    if bad and not skip_bad:
        raise _unreadable(table, bad)
    return TablePredictions(torch.cat(scores).cpu(), bad)


def _logits(member: "Classifier", images: Tensor, views: Sequence[View]) -> Tensor:
    """Return the logits of all views of a batch: [V, B, C]."""
    return torch.stack([member.logits(apply_view(images, view)).float() for view in views])


def usual_batch_size(size: int, device: torch.device) -> int:
    """Return how many pictures of side `size` make a batch."""
    pixels = PIXELS_AT_ONCE * (8 if device.type == "cuda" else 1)
    return max(8, min(1024 if device.type == "cuda" else 256, pixels // size**2))


def _unreadable(table: ImageTable, bad: Mapping[int, str]) -> DataError:
    rows = sorted(bad)
    reasons = "; ".join(bad[row] for row in rows[:NAMED])
    more = f"; and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return DataError(
        f"{len(rows)} of {len(table)} pictures cannot be read: {reasons}{more}",
        remedy="Replace the files, or use --skip-bad, which lists them and predicts the most "
        "frequent class, so that no id is missing.",
    )


def _silent(_done: int, _total: int) -> None:
    """Ignore progress."""
