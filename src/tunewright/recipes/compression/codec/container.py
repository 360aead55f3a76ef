"""The file format of a compressed picture (`.twc`): its layout and its checks.

See docs/compressed-files.md. Nothing in a file is used before its checksum is verified, and no
length in it before it fits the size of the file.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunewright.errors import DataError
from tunewright.runs.machine.free_memory import MIB, free_mib
from tunewright.runs.regular_files import open_regular

MAGIC = b"\x89TWC"
VERSION = 1
FINGERPRINT_BYTES = 8
CHECKSUM_BYTES = 4
SUFFIX = ".twc"
GREY, CUDA = 1, 2
"""Flags."""
VARINT_BYTES = 5
"""At most: numbers below 2^35."""
MOST_THREADS = 64
"""That a writer uses, and so the most that a file may ask for."""
LARGEST_SIDE = 2**24


@dataclass(frozen=True)
class Container:
    """What a file holds.

    fingerprint: of the model that wrote it. width, height: in pixels. threads, device: what the
    model ran on. symbols: CRC-32 of all coded values. streams: hyper-latents, then latents.
    """

    fingerprint: bytes
    width: int
    height: int
    grey: bool
    threads: int
    device: Literal["cpu", "cuda"]
    symbols: int
    streams: tuple[bytes, ...]


def pack(held: Container) -> bytes:
    """Return the bytes of a file."""
    flags = GREY * held.grey | CUDA * (held.device == "cuda")
    head = MAGIC + bytes([VERSION]) + held.fingerprint + bytes([flags])
    lengths = [len(stream) for stream in held.streams]
    for number in (held.threads, held.width, held.height, *lengths):
        head += _varint(number)
    body = head + struct.pack("<I", held.symbols) + b"".join(held.streams)
    return body + struct.pack("<I", zlib.crc32(body))


def read_compressed(file: Path) -> bytes:
    """Read a file; raises DataError if it is missing or no compressed picture (then unread)."""
    try:
        with open_regular(file) as stream:
            begin = stream.read(len(MAGIC))
            _check_magic(begin, file)
            if file.stat().st_size > free_mib() * MIB:
                raise DataError(f"{file} is larger than the memory that is free")
            return begin + stream.read()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from None


def unpack(data: bytes, name: object = "the file") -> Container:
    """Parse the bytes of a file.

    name: of the file, for messages. Raises DataError for bytes that are no compressed picture, of a
    later version, cut short or altered.
    """
    _check_magic(data, name)
    if len(data) > len(MAGIC) and data[len(MAGIC)] != VERSION:
        raise DataError(
            f"{name} has version {data[len(MAGIC)]} of the format",
            expected=f"version {VERSION}",
            remedy="If the file is intact, decompress it with the later tunewright that wrote it.",
        )
    body, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if len(checksum) < CHECKSUM_BYTES or zlib.crc32(body) != struct.unpack("<I", checksum)[0]:
        raise _broken(name, "its checksum does not agree")
    return _parse(body, name)


def _parse(body: bytes, name: object) -> Container:
    """Parse the bytes between magic and checksum; a valid checksum does not make them harmless."""
    at = len(MAGIC) + 1
    if len(body) < at + FINGERPRINT_BYTES + 1:
        raise _broken(name, "it ends early")
    fingerprint = body[at : at + FINGERPRINT_BYTES]
    flags = body[at + FINGERPRINT_BYTES]
    if flags & ~(GREY | CUDA):
        raise _broken(name, f"its flags are {flags}")
    numbers, at = _varints(body, at + FINGERPRINT_BYTES + 1, 5, name)
    threads, width, height, *lengths = numbers
    if not 1 <= threads <= MOST_THREADS:
        raise _broken(name, f"it was written with {threads:,} threads")
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise _broken(name, f"it has {width:,} x {height:,} pixels")
    if len(body) != at + 4 + sum(lengths):
        raise _broken(name, f"it has {len(body):,} bytes for {at + 4 + sum(lengths):,}")
    symbols: int = struct.unpack_from("<I", body, at)[0]
    first, second = at + 4, at + 4 + lengths[0]
    return Container(
        fingerprint,
        width,
        height,
        bool(flags & GREY),
        threads,
        "cuda" if flags & CUDA else "cpu",
        symbols,
        (body[first:second], body[second:]),
    )


def _check_magic(data: bytes, name: object) -> None:
    if not data.startswith(MAGIC):
        came = f"{name} is {'no compressed picture of ours' if data else 'empty'}"
        raise DataError(came, expected=f"a {SUFFIX} file that tunewright compress wrote")


def _broken(name: object, why: str) -> DataError:
    return DataError(
        f"{name} is cut short or altered ({why})",
        expected="the bytes that tunewright compress wrote",
        remedy="Copy it again, in binary mode, or compress the picture again.",
    )


def _varint(number: int) -> bytes:
    """Encode a number with seven bits a byte, lowest first; the eighth bit means more follow.

    300 = 0b10_0101100 becomes AC 02.
    """
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _varints(data: bytes, at: int, count: int, name: object) -> tuple[Sequence[int], int]:
    """Decode `count` numbers from offset `at`; return them and the offset after them."""
    numbers: list[int] = []
    for _ in range(count):
        number = 0
        for place, byte in enumerate(data[at : at + VARINT_BYTES]):
            number |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                at += place + 1
                break
        else:
            raise _broken(name, "a number in its head does not end")
        numbers.append(number)
    return numbers, at
