"""Decoded photographs of any size in one memory-mapped file that all processes share."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from tunewright.images.dataset.unreadable import (
    content_folder,
    decode_all,
    describe_skipped,
    read_verdicts,
    refuse,
    write_verdicts,
)
from tunewright.images.image_table import ImageTable, Indices
from tunewright.images.loading.placement import DISK_SHARE, RAM_SHARE
from tunewright.images.loading.shared_file import find_or_build, new_file, npy_header
from tunewright.images.loading.square import Pixels
from tunewright.images.loading.store import VERSION
from tunewright.recipes.compression.data.photo_sizes import photo_sizes
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.cache import cache_folder
from tunewright.runs.callbacks import OnProgress
from tunewright.runs.machine.free_memory import MIB, free_mib
from tunewright.runs.quantities import size as format_size

NAME = f"photos-{VERSION}"
Sizes = list[tuple[int, int] | None]
"""Height and width of each photograph of a source; None where it is broken."""


@dataclass(frozen=True, eq=False)
class PhotoStore:
    """A `.npy` file of bytes: photographs [3, height, width], one after the other.

    at: int64 [N, 3], for each row of the table that was asked for: where its photograph begins,
    in bytes after the header, its height and its width; a height of 0 where it was skipped.
    built: whether this call decoded. notices: what was skipped.
    """

    file: Path
    at: Indices
    built: bool = False
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class PhotoStorePlacement:
    """Where decoded photographs are kept during a training, and why, in one sentence."""

    store: Literal["resident", "stream"]
    why: str


def choose(
    tables: Sequence[ImageTable], wanted: Literal["auto", "resident", "stream"] = "auto"
) -> PhotoStorePlacement:
    """Decide whether the photographs of `tables` are decoded once, or again for each crop.

    wanted: anything but `auto` is taken as it is.
    """
    if wanted != "auto":
        return PhotoStorePlacement(wanted, f"data.store={wanted}, as asked")
    wholes = list({id(table.whole or table): table.whole or table for table in tables}.values())
    sizes = [photo_sizes(whole) for whole in wholes]
    count, needed = sum(map(len, wholes)), sum(_bytes(each) for each in sizes)
    takes = f"{count:,} photographs take {format_size(needed)} decoded"
    ram, disk = free_mib() * MIB, shutil.disk_usage(cache_folder()).free
    if needed > RAM_SHARE * ram:
        why = f"more than {RAM_SHARE:.0%} of the {format_size(ram)} of free RAM"
        return PhotoStorePlacement("stream", f"{takes}, {why}: each is decoded again for each crop")
    missing = sum(
        _bytes(each) for whole, each in zip(wholes, sizes, strict=True) if not _is_built(whole)
    )
    if missing > DISK_SHARE * disk:
        why = f"more than {DISK_SHARE:.0%} of the {format_size(disk)} free on the disk"
        return PhotoStorePlacement("stream", f"{takes}, {why}: each is decoded again for each crop")
    return PhotoStorePlacement("resident", f"{takes}: decoded once, mapped by every worker")


def build_photo_store(
    table: ImageTable,
    *,
    folder: Path | None = None,
    progress: OnProgress | None = None,
    skip_bad: bool = False,
) -> PhotoStore:
    """Decode the whole source of `table`, unless that was done before; return its store.

    As `images.loading.store.build_store`, for photographs that keep their sizes: one file for all
    parts of a source, named for its content, whole or absent, made by one of several processes.
    Raises DataError that lists photographs which cannot be used (skip_bad leaves out up to 5 %),
    NotWritten when the disk has no room.
    """
    whole = table.whole or table
    inside = content_folder(whole, folder)
    file = inside / f"{NAME}.npy"
    sizes, built = find_or_build(
        file,
        lambda: _ready(file, whole),
        lambda: _build(whole, file, progress),
        lock=f"{NAME}.lock",
        needed=lambda: _bytes(photo_sizes(whole)),
        otherwise="use fewer photographs",
    )
    at = _places(sizes)
    rows = np.arange(len(whole)) if table.whole_rows is None else table.whole_rows
    notices: tuple[str, ...] = ()
    if (at[rows, 1] == 0).any():
        broken = read_verdicts(inside, whole) or {}
        if not skip_bad:
            refuse(whole, broken)
        notices = (describe_skipped(inside, whole, broken),)
    return PhotoStore(file, at[rows], built, notices)


def planes(picture: Image.Image) -> Pixels:
    """Convert an upright RGB picture to uint8 [3, height, width]."""
    return np.ascontiguousarray(np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1))


def _is_built(table: ImageTable) -> bool:
    return _ready(content_folder(table) / f"{NAME}.npy", table) is not None


def _bytes(sizes: Indices) -> int:
    return int(3 * sizes.prod(axis=1).sum())


def _places(sizes: Sizes) -> Indices:
    shapes = np.array([size or (0, 0) for size in sizes], dtype=np.int64).reshape(-1, 2)
    lengths = 3 * shapes.prod(axis=1)
    return np.concatenate([(np.cumsum(lengths) - lengths)[:, None], shapes], axis=1)


def _ready(file: Path, table: ImageTable) -> Sizes | None:
    """Return the sizes of the photographs in a complete store; None if there is none."""
    try:
        found = file.stat().st_size
    except OSError:
        return None
    stored = read_json(file.with_suffix(".json"))
    if stored is None or read_verdicts(file.parent, table) is None:
        return None
    sizes: Sizes = [None if size is None else (size[0], size[1]) for size in stored["sizes"]]
    at = _places(sizes)
    whole = found == len(npy_header((0,))) + int(3 * at[:, 1:].prod(axis=1).sum())
    return sizes if whole and len(sizes) == len(table) else None


def _build(table: ImageTable, file: Path, progress: OnProgress | None) -> Sizes:
    """Fill the file in order of the rows; broken ones leave no gap, the header comes last."""
    start = end = len(npy_header((0,)))
    sizes: Sizes = [None] * len(table)
    with new_file(file, start + _bytes(photo_sizes(table))) as out:

        def keep(row: int, made: Pixels) -> None:
            nonlocal end
            os.pwrite(out, made.data, end)
            sizes[row] = (made.shape[1], made.shape[2])
            end += made.nbytes

        broken = decode_all(table, planes, keep, progress, chunk=1)
        os.pwrite(out, npy_header((end - start,)), 0)
        os.ftruncate(out, end)
        write_verdicts(file.parent, table, broken)
        write_json(file.with_suffix(".json"), {"sizes": sizes})
    return sizes
