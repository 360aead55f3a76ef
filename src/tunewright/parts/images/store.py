"""Decoded pictures in one memory-mapped file, which every process of the machine shares."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from tunewright.parts.images.table import ImageTable, Indices

Pixels = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]
"""Called with how many pictures are done, and how many there are."""


@dataclass(frozen=True, eq=False)
class Store:
    """A file of pictures: uint8 [rows, 3, size, size], C order, `.npy`.

    rows: of the file, which holds the whole source. rows_of: int64 [N], the row of the file
    that shows picture i of the table that was asked for; -1 where it was skipped as unreadable.
    """

    file: Path
    rows: int
    size: int
    rows_of: Indices


def build_store(
    table: ImageTable,
    size: int,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    skip_bad: bool = False,
) -> Store:
    """Decode the whole source of `table`, unless that was done before, and tell where it lies."""
    raise NotImplementedError


def open_store(store: Store) -> "np.memmap[Any, np.dtype[np.uint8]]":
    """Map the file read-only: [rows, 3, size, size]; take `store.rows_of` of it."""
    raise NotImplementedError


def as_uint8(image: Image.Image, size: int) -> Pixels:
    """The pixels that every path gives to a model: [3, size, size], from an upright RGB picture.

    Squashed to a square with antialiased bilinear resampling (Pillow's, as timm and torchvision
    do on pictures); a picture of that size already is not touched.
    """
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))


@dataclass(frozen=True)
class Choice:
    """Where the pictures are kept during a training, and why, in one sentence."""

    store: Literal["memory", "device", "stream"]
    why: str


def fits(table: ImageTable, size: int) -> bool:
    """Whether the store of the whole source has room in this machine's RAM and on its disk."""
    raise NotImplementedError


def choose(
    table: ImageTable,
    size: int,
    device_free_bytes: int | None = None,
    wanted: Literal["auto", "memory", "device", "stream"] = "auto",
) -> Choice:
    """Decide where decoded pictures are kept. device_free_bytes: of a GPU; None without one."""
    raise NotImplementedError
