"""Keep decoded pictures in one memory-mapped file, which all processes of a machine share."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from tunewright.images.dataset.config import Resize
from tunewright.images.dataset.unreadable import (
    Broken,
    content_folder,
    decode_all,
    describe_skipped,
    read_verdicts,
    refuse,
    write_verdicts,
)
from tunewright.images.image_table import ImageTable, Indices
from tunewright.images.loading.shared_file import find_or_build, new_file, npy_header
from tunewright.images.loading.square import Pixels, SquareInput, as_uint8
from tunewright.runs.callbacks import OnProgress
from tunewright.training.memory.limit import make_room_to_map

SKIPPED = -1
VERSION = f"2-{PIL.__version__}"  # another Pillow may decode and scale a little differently


@dataclass(frozen=True, eq=False)
class Store:
    """A file of pictures: uint8 [rows, 3, size, size], C order, `.npy`.

    rows: of the file, which holds the whole source. rows_of: int64 [N], the row of the file that
    shows picture i of the requested table; -1 if it was skipped as unreadable. built: whether this
    call decoded it, or found the file ready. notices: what was skipped.
    """

    file: Path
    rows: int
    size: int
    rows_of: Indices
    built: bool = False
    notices: tuple[str, ...] = ()


def build_store(
    table: ImageTable,
    size: int,
    *,
    resize: Resize = "squash",
    folder: Path | None = None,
    on_progress: OnProgress | None = None,
    skip_bad: bool = False,
) -> Store:
    """Decode the whole source of `table`, unless that was done before, and return its store.

    A part of a source shares the file of the whole, so splits, folds and seeds need one file. The
    file is named by the content of the pictures, made on all cores, and either complete or absent;
    if several processes ask at once, one makes it and the others wait. resize: see `as_uint8`.
    folder: used instead of the cache. skip_bad: leave out pictures that cannot be used, up to 5 %
    of the source.

    Raises DataError that lists pictures that cannot be used, NotWritten if the disk has no space.
    """
    whole = table.whole or table
    inside = content_folder(whole, folder)
    file = inside / f"{_stem(size, resize)}-{VERSION}.npy"
    broken, built = find_or_build(
        file,
        lambda: _ready(file, whole, size),
        lambda: _build(whole, SquareInput(size, resize), file, on_progress),
        lock=f"{_stem(size, resize)}.lock",
        needed=lambda: store_bytes(len(whole), size),
        otherwise="lower data.image_size",
    )
    rows_of = np.full(len(whole), SKIPPED, dtype=np.int64)
    good = np.setdiff1d(np.arange(len(whole)), np.array(sorted(broken), dtype=np.int64))
    rows_of[good] = np.arange(len(good))
    wanted = rows_of if table.whole_rows is None else rows_of[table.whole_rows]
    notices: tuple[str, ...] = ()
    if (wanted == SKIPPED).any():
        if not skip_bad:
            refuse(whole, broken)
        notices = (describe_skipped(inside, whole, broken),)
    return Store(file, len(good), size, wanted, built, notices)


def is_built(
    table: ImageTable, size: int, *, resize: Resize = "squash", folder: Path | None = None
) -> bool:
    """Return whether `build_store` would find its file ready."""
    whole = table.whole or table
    file = content_folder(whole, folder) / f"{_stem(size, resize)}-{VERSION}.npy"
    return _ready(file, whole, size) is not None


def open_store(store: Store, *, private: bool = False) -> "np.memmap[Any, np.dtype[np.uint8]]":
    """Map the file: [rows, 3, size, size] uint8; index it by `store.rows_of`.

    Read-only; private: writable, as torch requires, without changing the file.
    """
    if private:
        make_room_to_map(store.file.stat().st_size)
    mapped: np.memmap[Any, np.dtype[np.uint8]] = np.load(
        store.file, mmap_mode="c" if private else "r"
    )
    return mapped


def _stem(size: int, resize: Resize) -> str:
    return f"{size}" if resize == "squash" else f"{size}-{resize}"  # older stores are squashed


def store_bytes(rows: int, size: int) -> int:
    """Return how many bytes the pictures of a store take, in memory or on disk."""
    return rows * 3 * size * size


def _ready(file: Path, table: ImageTable, size: int) -> Broken | None:
    """Return the pictures that a complete store leaves out; None if there is no such store."""
    try:
        found = file.stat().st_size
    except OSError:
        return None
    broken = read_verdicts(file.parent, table)
    rows = len(table) - len(broken or {})
    whole = broken is not None and found == len(_header(0, size)) + store_bytes(rows, size)
    return broken if whole else None


def _build(
    table: ImageTable, square: SquareInput, file: Path, on_progress: OnProgress | None
) -> Broken:
    """Fill the file in order of the rows, without gaps for broken ones, and the header last."""
    size = square.size
    start, step, good = len(_header(0, size)), store_bytes(1, size), 0

    with new_file(file, start + step * len(table)) as out:

        def keep(_row: int, made: Pixels) -> None:
            nonlocal good
            os.pwrite(out, made.data, start + step * good)
            good += 1

        broken = decode_all(table, lambda picture: as_uint8(picture, *square), keep, on_progress)
        os.pwrite(out, _header(good, size), 0)
        os.ftruncate(out, start + step * good)
        write_verdicts(file.parent, table, broken)
    return broken


def _header(rows: int, size: int) -> bytes:
    return npy_header((rows, 3, size, size))
