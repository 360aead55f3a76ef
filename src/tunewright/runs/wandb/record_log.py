"""Read the record log in a `.wandb` file, and the fields of a protobuf message in it.

The file begins with `:W&B`, the number 0xBEE1 and a version; after that it is a LevelDB log: blocks
of 32 KiB, and in them chunks of 4 bytes of CRC-32, 2 of length, 1 of kind, and the data. A chunk is
a whole record, or the first, a middle or the last part of one. Source: LevelDB's
doc/log_format.md, and wandb/sdk/internal/datastore.py.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from tunewright.errors import DataError
from tunewright.runs.regular_files import open_regular

HEADER = struct.Struct("<4sHB")
CHUNK = struct.Struct("<IHB")
BLOCK = 1 << 15
MAGIC = (b":W&B", 0xBEE1)
KINDS = FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
MAX_RECORD = 64 << 20
"""Bytes of one record; a step of some hundred metrics takes kilobytes."""
MAX_FILE = 4 << 30
"""Bytes that are read of one file."""


class RecordLogDamage(Exception):
    """The log cannot be read any further; the records before it are whole."""


def read_records(file: Path) -> Iterator[bytes]:
    """Yield the records of a `.wandb` file, one after the other.

    Raises DataError for a file that is not one, OSError for one that cannot be read, and
    RecordLogDamage after the last whole record of one that is cut off or damaged.
    """
    with open_regular(file) as stream:
        head = stream.read(HEADER.size)
        if len(head) < HEADER.size or HEADER.unpack(head)[:2] != MAGIC:
            raise DataError(f"{file} is no log of W&B", expected="a file that begins with :W&B")
        place = HEADER.size
        parts: bytearray | None = None
        while place < MAX_FILE:
            left = BLOCK - place % BLOCK
            if left < CHUNK.size:  # the rest of a block is filled with zeros
                place += len(stream.read(left))
                continue
            head = stream.read(CHUNK.size)
            if not head and parts is None:
                return
            if len(head) < CHUNK.size:
                raise RecordLogDamage("the last record is cut off")
            checksum, length, kind = CHUNK.unpack(head)
            data = stream.read(length)
            place += CHUNK.size + len(data)
            if len(data) < length or length > left - CHUNK.size:
                raise RecordLogDamage("the last record is cut off")
            if zlib.crc32(data, zlib.crc32(bytes([kind]))) != checksum:
                raise RecordLogDamage(f"the checksum of a record before byte {place:,} is wrong")
            if (kind in (MIDDLE, LAST)) != (parts is not None) or kind not in KINDS:
                raise RecordLogDamage(f"the records before byte {place:,} do not follow each other")
            parts = bytearray() if parts is None else parts
            parts += data
            if len(parts) > MAX_RECORD:
                raise RecordLogDamage(f"a record has more than {MAX_RECORD:,} bytes")
            if kind in (FULL, LAST):
                yield bytes(parts)
                parts = None
        raise RecordLogDamage(f"only the first {MAX_FILE >> 30} GiB are read")


def message_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a protobuf message: an integer, or bytes.

    Fields of fixed width are bytes, of 4 or 8. Raises ValueError for what is no message. Source:
    protobuf.dev, "Encoding".
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        if wire == 2:
            length, place = _varint(message, place)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"a field of the wire type {wire}")
        if place + length > len(message):
            raise ValueError("a field that is longer than its message")
        yield number, message[place : place + length]
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return a number and the place after it: 7 bits a byte, the lowest first."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number without an end")
