"""Write LMDB files whose map grows by itself."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tunewright.errors import DataError, NotWritten
from tunewright.images.databases.lmdb_reader import FILE, require_lmdb

FIRST_MAP_BYTES = 64 << 20
MAX_KEY_BYTES = 511
"""Of LMDB as it is built for Python."""


class LmdbWriter:
    """An LMDB in a folder that is written by this process alone, in ascending order of the keys.

    map_bytes: of address space to begin with, doubled whenever it is full. A transaction is on the
    disk as a whole or not at all, so that a process may die at any time.
    """

    def __init__(self, folder: Path, *, map_bytes: int = FIRST_MAP_BYTES) -> None:
        self._lmdb = require_lmdb()
        self.file = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            there = self.file.stat().st_size if self.file.exists() else 0
            self._environment = self._lmdb.open(
                str(folder), map_size=max(map_bytes, 2 * there), lock=False, readahead=False
            )
        except (self._lmdb.Error, OSError) as error:
            raise self._not_written(error) from None
        self.map_bytes = int(self._environment.info()["map_size"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        self._environment.close()

    @property
    def last_key(self) -> str | None:
        """The last key that is on the disk."""
        with self._environment.begin() as reading:
            cursor = reading.cursor()
            return cursor.key().decode() if cursor.last() else None

    def write(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Add keys with their values in one transaction.

        The keys ascend, and follow those that are there. Raises NotWritten where the disk is full
        or the map cannot grow, DataError for a key that is too long.
        """
        encoded = [(key.encode(), value) for key, value in items]
        for key, _ in encoded:
            if len(key) > MAX_KEY_BYTES:
                raise DataError(
                    f"the key {key.decode()[:60]!r}... has {len(key)} bytes",
                    expected=f"at most {MAX_KEY_BYTES}",
                )
        while True:
            try:
                with self._environment.begin(write=True) as writing:
                    for key, value in encoded:
                        writing.put(key, value, append=True)
                return
            except self._lmdb.MapFullError:
                self._grow(sum(len(value) for _, value in encoded))
            except self._lmdb.Error as error:
                raise self._not_written(error) from None

    def fill_up(self) -> None:
        """Make the file as long as its last page, which LMDB may leave out when it is unused."""
        pages = int(self._environment.info()["last_pgno"]) + 1
        needed = pages * int(self._environment.stat()["psize"])
        if self.file.stat().st_size < needed:
            with self.file.open("r+b") as opened:
                opened.truncate(needed)

    def _grow(self, wanted: int) -> None:
        bigger = 2 * self.map_bytes + 2 * wanted
        try:
            self._environment.set_mapsize(bigger)
        except (self._lmdb.Error, MemoryError, OverflowError) as error:
            raise NotWritten(
                f"{self.file} is full at {self.map_bytes:,} bytes, and its map cannot grow to "
                f"{bigger:,} ({error})",
                remedy="Raise the limit of address space (ulimit -v), or build in parts; the same "
                "command then continues.",
            ) from None
        self.map_bytes = int(self._environment.info()["map_size"])

    def _not_written(self, error: Exception) -> NotWritten:
        reason = getattr(error, "strerror", None) or str(error).rpartition(": ")[2]
        if reason == os.strerror(errno.EIO):  # what LMDB calls a page of which a part was written
            reason = "the disk may be full"
        return NotWritten(
            f"{self.file} cannot be written: {reason}",
            remedy="Free space; the same command then continues. Or choose another --output.",
        )
