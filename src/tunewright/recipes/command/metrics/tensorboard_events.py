"""Read scalars from TensorBoard event files while they grow, without TensorBoard.

An event file is a row of records: length (8 bytes), its checksum (4), data, its checksum (4). The
data are an `Event` in protocol buffers: step (field 2) and summary (5), whose values (1) have a tag
(1) and a number as `simple_value` (2), or, since TensorFlow 2, as a tensor (8).
"""

import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from tunewright.recipes.command.metrics.reader import MetricReader, ScriptReport

LONGEST = 1 << 28
"""Bytes of a record; a longer one means that the file is damaged."""
FLOAT, DOUBLE, INT32, INT64 = 1, 2, 3, 9
"""Data types of tensors."""
_FORMATS = {FLOAT: "<f", DOUBLE: "<d", INT32: "<i", INT64: "<q"}
_NUMBERS = {5: "<f", 6: "<d"}
"""Fields of a tensor that hold packed numbers: float_val, double_val."""


class TensorBoardReader(MetricReader):
    """Reads all event files in a folder, or below it.

    again: leave out the files that are there already, of an earlier attempt.
    """

    def __init__(self, path: Path, *, again: bool) -> None:
        super().__init__()
        self._path = path
        self._offsets: dict[Path, int] = {}
        if again:
            self._offsets = {file: file.stat().st_size for file in self._files()}

    def poll(self, *, ended: bool) -> Iterable[ScriptReport]:
        """Yield the scalars that were written since the last call."""
        for file in self._files():
            yield from self._poll_file(file)

    def _files(self) -> list[Path]:
        with suppress(OSError):
            return [self._path] if self._path.is_file() else sorted(self._path.rglob("*tfevents*"))
        return []

    def _poll_file(self, file: Path) -> Iterator[ScriptReport]:
        offset = self._offsets.get(file, 0)
        try:
            with file.open("rb") as stream:
                while True:
                    stream.seek(offset)
                    record = _record(stream.read(8), stream)
                    if record is None:
                        break
                    offset += 16 + len(record)
                    if (report := _scalars(record)) is not None:
                        yield report
        except OSError:
            pass  # gone, or being replaced
        self._offsets[file] = offset


def _record(head: bytes, stream: object) -> bytes | None:
    """Return the data of the next record; None where it is not whole yet."""
    if len(head) < 8:
        return None
    [length] = struct.unpack("<Q", head)
    if length > LONGEST:
        return None
    rest: bytes = stream.read(length + 8)  # type: ignore[attr-defined]
    return rest[4:-4] if len(rest) == length + 8 else None


def _scalars(event: bytes) -> ScriptReport | None:
    step, metrics = 0, dict[str, float]()
    try:
        for field, value in _fields(event):
            if field == 2 and isinstance(value, int):
                step = value
            elif field == 5 and isinstance(value, bytes):
                metrics |= dict(_summary(value))
    except (IndexError, struct.error):
        return None
    return ScriptReport(step, metrics) if metrics else None


def _summary(summary: bytes) -> Iterator[tuple[str, float]]:
    for field, value in _fields(summary):
        if field != 1 or not isinstance(value, bytes):
            continue
        tag, number = "", None
        for inner, content in _fields(value):
            if not isinstance(content, bytes):
                continue
            if inner == 1:
                tag = content.decode(errors="replace")
            elif inner == 2:
                [number] = struct.unpack("<f", content)
            elif inner == 8:
                number = _tensor(content)
        if number is not None:
            yield tag.strip(), number


def _tensor(tensor: bytes) -> float | None:
    """Return the one number of a tensor; None where it holds none, or more than one."""
    kind, found = 0, None
    for field, value in _fields(tensor):
        if field == 1 and isinstance(value, int):
            kind = value
        elif field == 2 and isinstance(value, bytes) and value:
            return None  # its shape has a dimension
        elif field == 4 and isinstance(value, bytes) and kind in _FORMATS:
            layout = _FORMATS[kind]
            found = value if len(value) == struct.calcsize(layout) else None
            if found is not None:
                return float(struct.unpack(layout, found)[0])
        elif field in _NUMBERS and isinstance(value, bytes):
            layout = _NUMBERS[field]
            if len(value) == struct.calcsize(layout):
                return float(struct.unpack(layout, value)[0])
    return None


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a message: whole numbers, or bytes for all else."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            number, at = _varint(message, at)
            yield key >> 3, number
            continue
        size = {1: 8, 5: 4}.get(kind)
        if size is None:
            if kind != 2:
                raise IndexError(f"wire type {kind}")
            size, at = _varint(message, at)
        if at + size > len(message):
            raise IndexError("a field beyond the end")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
