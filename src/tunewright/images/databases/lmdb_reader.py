"""Read LMDB files, from any number of threads and processes."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunewright.errors import ConfigError, DataError
from tunewright.images.databases.pickled_tuples import BUILD_AGAIN

FILE = "data.mdb"
"""The file of an LMDB inside its folder."""


def is_database(file: Path) -> bool:
    """Return whether a path is the file of an LMDB, by its name."""
    return file.name == FILE


class Database:
    """An LMDB file that is open for reading.

    Nothing is locked: no slot in a table of readers is taken, so epochs and workers that come and
    go leave nothing behind, and read-only disks will do. Values are read through a memory map with
    a transaction each, which threads may do at once and a forked process goes on with.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._environment = _open(file)

    def __len__(self) -> int:
        with _readable(self.file):
            return int(self._environment.stat()["entries"])

    def get(self, key: str) -> bytes | None:
        """Return the value of a key, None where there is no such key."""
        with _readable(self.file), self._environment.begin() as reading:
            found: bytes | None = reading.get(key.encode())
            return found

    def require(self, key: str) -> bytes:
        """Return the value of a key; raise DataError where there is no such key."""
        found = self.get(key)
        if found is None:
            raise DataError(
                f"{self.file} has no key {key!r}",
                remedy=BUILD_AGAIN,
            )
        return found

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Yield keys and values in the order of the keys."""
        with _readable(self.file), self._environment.begin() as reading:
            for key, value in reading.cursor():
                yield key.decode(errors="replace"), value

    def keys(self) -> list[str]:
        """Return the keys in their order."""
        with _readable(self.file), self._environment.begin() as reading:
            found = reading.cursor().iternext(keys=True, values=False)
            return [key.decode(errors="replace") for key in found]

    def close(self) -> None:
        """Unmap the file."""
        self._environment.close()


_OPEN: dict[str, tuple[tuple[int, int], Database]] = {}
"""By path, what this process has open: LMDB allows a file to be opened once in a process.

A forked process goes on with its parent's maps; others open their own.
"""
_OPENING = threading.Lock()
os.register_at_fork(after_in_child=lambda: globals().update(_OPENING=threading.Lock()))


def open_database(file: Path) -> Database:
    """Return the open LMDB of a file, opened once in each process.

    A file that was replaced is opened anew. Raises DataError for what is no LMDB, is truncated or
    cannot be read, ConfigError without the package lmdb.
    """
    try:
        found = file.stat()
    except OSError as error:
        raise DataError(
            f"{file} cannot be read ({error.strerror})", remedy="Check the path."
        ) from None
    identity, path = (found.st_dev, found.st_ino), str(file.resolve())
    known = _OPEN.get(path)
    if known is not None and known[0] == identity:
        return known[1]
    with _OPENING:
        known = _OPEN.get(path)
        if known is not None and known[0] == identity:
            return known[1]
        if known is not None:
            known[1].close()
        opened = Database(file)
        _OPEN[path] = identity, opened
        return opened


def require_lmdb() -> Any:
    """Return the package lmdb; raise ConfigError where it is not installed."""
    try:
        import lmdb
    except ImportError:
        raise ConfigError(
            "an LMDB needs the package lmdb",
            remedy='Install it with pip install "tunewright[retina]".',
        ) from None
    return lmdb


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turn what LMDB raises into DataError."""
    lmdb = require_lmdb()
    try:
        yield
    except lmdb.Error as error:
        raise DataError(
            f"{file} cannot be read ({error})",
            remedy=f"It may be damaged: copy it again. {BUILD_AGAIN}",
        ) from None


def _open(file: Path) -> Any:
    lmdb = require_lmdb()
    size = file.stat().st_size
    try:
        found = lmdb.open(
            str(file), subdir=False, readonly=True, lock=False, create=False, max_dbs=0
        )
    except lmdb.Error as error:
        reason = "it is empty" if not size else str(error).rpartition(": ")[2]
        raise DataError(
            f"{file} cannot be opened ({reason})",
            expected="the file of an LMDB",
            remedy=f"Copy it again. {BUILD_AGAIN}",
        ) from None
    needed = (int(found.info()["last_pgno"]) + 1) * int(found.stat()["psize"])
    if size < needed:  # reading a page behind the end would kill the process
        found.close()
        raise DataError(
            f"{file} is truncated: it has {size:,} of {needed:,} bytes",
            remedy=f"Copy it again. {BUILD_AGAIN}",
        )
    return found
