"""A large file that one of several processes makes, once, and all of them then map."""

import contextlib
import errno
import fcntl
import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from tunewright.errors import NotWritten

T = TypeVar("T")
UNUSED_DAYS = 30
"""Files unused for this long are removed when another one is built."""
SPARE_BYTES = 1 << 28  # 256 MiB stay free on the disk
ELSEWHERE = (
    "set TUNEWRIGHT_CACHE to a folder elsewhere, or use data.store=stream, which keeps nothing "
    "(all recipes but retina)."
)


def find_or_build(
    file: Path,
    find: Callable[[], T | None],
    build: Callable[[], T],
    *,
    lock: str,
    needed: Callable[[], int],
    otherwise: str,
) -> tuple[T, bool]:
    """Return what `find` finds of `file`, built if need be, and whether this call built it.

    Of several processes one builds, and the others wait. lock: the name of a file beside it.
    needed: returns the bytes that it takes. otherwise: what helps where the disk lacks them, such
    as "lower data.image_size". Raises NotWritten where it does.
    """
    found, built = find(), False
    if found is None:
        _tidy(file.parent.parent)
        _check_room(needed(), file.parent, otherwise)
        with _alone(file.with_name(lock)):
            found = find()  # made by another process meanwhile?
            if found is None:
                found, built = build(), True
    with contextlib.suppress(OSError):
        os.utime(file)
    return found, built


@contextlib.contextmanager
def new_file(file: Path, reserve: int) -> Iterator[int]:
    """Yield a descriptor to fill, which becomes `file` at the end; the caller holds its lock.

    reserve: bytes to reserve, so that a full disk shows now. Raises NotWritten for what the
    operating system refuses.
    """
    temporary = file.with_name(f".{file.name}.part")  # under the lock: a leftover may be replaced
    try:
        with temporary.open("wb") as out:
            _reserve(out.fileno(), reserve)
            yield out.fileno()
            os.fsync(out.fileno())
        temporary.replace(file)
    except OSError as error:
        raise NotWritten(
            f"{file} cannot be written: {error.strerror or error}",
            remedy=f"Free space, {ELSEWHERE}",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def npy_header(shape: tuple[int, ...]) -> bytes:
    """Return the header of a `.npy` file of bytes; its length does not depend on the first axis."""
    made = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        made, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return made.getvalue()


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait for a lock and hold it; the system releases it however the process dies."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise NotWritten(
            f"{lock.parent} cannot be written: {error.strerror}",
            remedy=f"Give yourself access, {ELSEWHERE}",
        ) from error
    try:
        with contextlib.suppress(OSError):  # a disk without locks: two may do the same work
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _tidy(folder: Path) -> None:
    """Remove files unused for 30 days; a process that has one mapped keeps it."""
    for file in folder.glob("*/*.npy"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > UNUSED_DAYS * 86_400:
                file.unlink()


def _check_room(needed: int, folder: Path, otherwise: str) -> None:
    """Raise NotWritten if the disk of `folder` has no space for that many bytes."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needed + SPARE_BYTES > free:
        raise NotWritten(
            f"the decoded pictures take {needed / 2**30:,.1f} GiB, and {there} has "
            f"{free / 2**30:,.1f} GiB free",
            remedy=f"Free space, {otherwise}, {ELSEWHERE}",
        )


def _reserve(out: int, size: int) -> None:
    """Reserve the space, so that a full disk shows now, on disks that support it."""
    try:
        os.posix_fallocate(out, 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
