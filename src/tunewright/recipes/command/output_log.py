"""Keep the output of a script within bounds: its beginning, its end, and what was left out."""

from collections import deque
from pathlib import Path

RECENT = 4096
"""Bytes of the last output that messages are made from."""


class OutputLog:
    """Appends to a run's log; after `most` bytes only the last `most` are kept, until `close`."""

    def __init__(self, path: Path, most: int) -> None:
        self._stream = path.open("ab", buffering=0)
        self._most, self._room = most, most
        self._tail: deque[bytes] = deque()
        self._held = self._left_out = 0
        self._recent = b""
        self._last = b"\n"

    def note(self, line: str) -> None:
        """Append a line of our own."""
        self._stream.write(f"{line}\n".encode(errors="surrogateescape"))

    def write(self, data: bytes) -> None:
        """Append what the script printed."""
        self._recent = (self._recent + data)[-RECENT:]
        head, rest = data[: self._room], data[self._room :]
        if head:
            self._stream.write(head)
            self._room -= len(head)
            self._last = head[-1:]
        if rest:
            self._tail.append(rest)
            self._held += len(rest)
            while self._held - len(self._tail[0]) >= self._most:
                dropped = self._tail.popleft()
                self._held -= len(dropped)
                self._left_out += len(dropped)

    @property
    def end_of_output(self) -> str:
        """The last that the script printed, for messages."""
        return self._recent.decode(errors="replace")

    def close(self) -> None:
        """Append the end of the output, and say how much is missing before it."""
        if self._tail:
            tail = b"".join(self._tail)
            if (extra := len(tail) - self._most) > 0:
                tail, self._left_out = tail[extra:], self._left_out + extra
            if self._left_out:
                self._stream.write(b"" if self._last == b"\n" else b"\n")
                self.note(f"[{self._left_out:,} bytes of output are left out here]")
            self._stream.write(tail)
        self._stream.close()
