"""Follow a text file that another process writes, also where it is rotated or written anew."""

import os
from pathlib import Path

CHUNK = 1 << 20
"""Bytes that one poll reads at most."""


class GrowingFile:
    """Yields whole lines; the last one without a line end only when the writer has ended.

    renewed: whether the last poll began at the start of a file, for the first time or again.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._offset, self._inode = path, 0, -1
        self._half = b""
        self.renewed = False

    def poll(self, *, ended: bool) -> list[str]:
        """Return the lines that were completed since the last poll."""
        self.renewed = False
        lines: list[bytes] = []
        try:
            with self._path.open("rb") as stream:
                self._notice_renewal(stream.fileno())
                stream.seek(self._offset)
                while chunk := stream.read(CHUNK):
                    self._offset += len(chunk)
                    *whole, self._half = (self._half + chunk).split(b"\n")
                    lines += whole
                    if not ended:
                        break
        except OSError:
            pass  # not there yet, or being replaced
        if ended and self._half:
            lines.append(self._half)
            self._half = b""
        return [line.decode(errors="replace") for line in lines]

    def _notice_renewal(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if status.st_ino != self._inode or status.st_size < self._offset:
            self._inode, self._offset, self._half, self.renewed = status.st_ino, 0, b"", True
