"""Follow a text file that another process writes, also where it is rotated or written anew."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CHUNK = 1 << 20
"""Bytes that one poll reads at most."""


class GrowingFile:
    """Yields whole lines; the last one without a line end only when the writer has ended.

    from_end: leave out what is there already, as of an earlier attempt. head: the first line of
    what is left out. renewed: set where a file is begun, for the first time or again; for the
    reader to reset.
    """

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        self._path, self._offset, self._inode = path, 0, -1
        self._half = b""
        self.head = ""
        self.renewed = False
        if from_end:
            with suppress(OSError), path.open("rb") as stream:
                status = os.fstat(stream.fileno())
                self._inode, self._offset = status.st_ino, status.st_size
                self.head = stream.readline(CHUNK).decode(errors="replace").rstrip("\n")

    def poll(self, *, ended: bool) -> Iterator[str]:
        """Yield the lines that were completed since the last poll."""
        with suppress(OSError), self._path.open("rb") as stream:  # not there yet, or replaced
            self._notice_renewal(stream.fileno())
            stream.seek(self._offset)
            while chunk := stream.read(CHUNK):
                self._offset += len(chunk)
                *whole, self._half = (self._half + chunk).split(b"\n")
                for line in whole:
                    yield line.decode(errors="replace")
                if not ended:
                    break
        if ended and self._half:
            half, self._half = self._half, b""
            yield half.decode(errors="replace")

    def _notice_renewal(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if status.st_ino != self._inode or status.st_size < self._offset:
            self._inode, self._offset, self._half, self.renewed = status.st_ino, 0, b"", True
