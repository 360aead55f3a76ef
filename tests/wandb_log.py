"""Write `.wandb` files by the rules of their format, as the package of W&B does."""

import json
import struct
import zlib
from typing import Any

from tunewright.runs.wandb.record_log import BLOCK


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def text(number: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(data)) + data


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def item(key: str | list[str], value: Any) -> bytes:
    named = text(1, key) if isinstance(key, str) else b"".join(text(2, part) for part in key)
    return named + text(16, json.dumps(value))


def history(step: int, metrics: dict[str, Any]) -> bytes:
    items = b"".join(text(1, item(key, value)) for key, value in metrics.items())
    return text(2, items + text(2, integer(1, step)))


def log_of(records: list[bytes]) -> bytes:
    """A `.wandb` file: records divided into chunks that never cross a block."""
    out = bytearray(struct.pack("<4sHB", b":W&B", 0xBEE1, 0))
    for record in records:
        first, rest = True, record
        while first or rest:
            left = BLOCK - len(out) % BLOCK
            if left < 7:
                out += bytes(left)
                left = BLOCK
            part, rest = rest[: left - 7], rest[left - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[
                first, not rest
            ]
            checksum = zlib.crc32(part, zlib.crc32(bytes([kind])))
            out += struct.pack("<IHB", checksum, len(part), kind) + part
            first = False
    return bytes(out)
