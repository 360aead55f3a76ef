"""Keep decoded pictures in one memory-mapped file, which all processes of a machine share."""

import contextlib
import errno
import fcntl
import io
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from tunewright.errors import DataError, NotWritten
from tunewright.images.dataset.config import Resize
from tunewright.images.dataset.unreadable import (
    Broken,
    check_share,
    content_folder,
    describe_skipped,
    max_unreadable,
    read_verdicts,
    reason,
    refuse,
    write_verdicts,
)
from tunewright.images.image_table import ImageTable, Indices, PicturePlace
from tunewright.images.loading.square import Pixels, SquareInput, as_uint8
from tunewright.images.sources.reader import PictureReader
from tunewright.images.thread_map import thread_map
from tunewright.runs.callbacks import OnProgress
from tunewright.training.memory.limit import make_room_to_map

SKIPPED = -1
VERSION = f"2-{PIL.__version__}"  # another Pillow may decode and scale a little differently
UNUSED_DAYS = 30
"""Stores unused for this long are removed when another one is built."""
SPARE_BYTES = 1 << 28  # 256 MiB stay free on the disk


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
    broken = _ready(file, whole, size)
    built = False
    if broken is None:
        tidy(inside.parent)
        check_room(store_bytes(len(whole), size), inside, "lower data.image_size")
        with alone(inside / f"{_stem(size, resize)}.lock"):
            broken = _ready(file, whole, size)  # made by another process meanwhile?
            if broken is None:
                broken, built = _build(whole, SquareInput(size, resize), file, on_progress), True
    with contextlib.suppress(OSError):
        os.utime(file)
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


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait for a lock and hold it; the system releases it however the process dies."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise NotWritten(
            f"{lock.parent} cannot be written: {error.strerror}",
            remedy="Use data.store=stream, which keeps nothing.",
        ) from error
    try:
        with contextlib.suppress(OSError):  # a disk without locks: two may do the same work
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def tidy(folder: Path) -> None:
    """Remove stores unused for 30 days; a process that has one mapped keeps it."""
    for file in folder.glob("*/*.npy"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > UNUSED_DAYS * 86_400:
                file.unlink()


def check_room(needed: int, folder: Path, or_else: str) -> None:
    """Raise NotWritten if the disk of `folder` has no space for that many bytes."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needed + SPARE_BYTES > free:
        raise NotWritten(
            f"the decoded pictures take {needed / 2**30:,.1f} GiB, and {there} has "
            f"{free / 2**30:,.1f} GiB free",
            remedy=f"Free space, {or_else}, or use data.store=stream, which keeps nothing.",
        )


def _build(
    table: ImageTable, square: SquareInput, file: Path, on_progress: OnProgress | None
) -> Broken:
    broken: dict[int, str] = {}
    with new_file(file) as out:
        _write(table, square, out, broken, on_progress)
        write_verdicts(file.parent, table, broken)
    return broken


@contextlib.contextmanager
def new_file(file: Path) -> Iterator[int]:
    """Yield a descriptor to fill, which becomes `file` at the end; the caller holds its lock.

    Raises NotWritten for what the operating system refuses.
    """
    temporary = file.with_name(
        f".{file.name}.part"
    )  # we hold the lock: a leftover is safe to replace
    try:
        with temporary.open("wb") as out:
            yield out.fileno()
            os.fsync(out.fileno())
        temporary.replace(file)
    except OSError as error:
        raise NotWritten(
            f"{file} cannot be written: {error.strerror or error}",
            remedy="Free space, or use data.store=stream, which keeps nothing.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write(
    table: ImageTable,
    square: SquareInput,
    out: int,
    broken: dict[int, str],
    on_progress: OnProgress | None,
) -> None:
    """Fill the file in order of the rows, without gaps for broken ones, and the header last."""
    size = square.size
    start = len(_header(0, size))
    step = store_bytes(1, size)
    reserve(out, start + step * len(table))
    good = 0
    reader = PictureReader()

    def decode(place: PicturePlace) -> Pixels | str:
        try:
            return as_uint8(reader.picture(place), *square)
        except DataError as error:
            return reason(error)

    def take(row: int, made: Pixels | str) -> None:
        nonlocal good
        if isinstance(made, str):
            broken[row] = made
            if len(broken) > 2 * max_unreadable(len(table)):
                check_share(table, broken)
        else:
            os.pwrite(out, made.data, start + step * good)
            good += 1
        if on_progress is not None:
            on_progress(row + 1, len(table))

    with contextlib.closing(reader):
        thread_map(decode, table.places, take)
    check_share(table, broken)
    header = _header(good, size)
    os.pwrite(out, header, 0)
    os.ftruncate(out, start + step * good)


def reserve(out: int, size: int) -> None:
    """Reserve the space, so that a full disk shows now, on disks that support it."""
    try:
        os.posix_fallocate(out, 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise


def _header(rows: int, size: int) -> bytes:
    return npy_header((rows, 3, size, size))


def npy_header(shape: tuple[int, ...]) -> bytes:
    """Return the header of a `.npy` file of bytes; its length does not depend on the first axis."""
    made = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        made, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return made.getvalue()
