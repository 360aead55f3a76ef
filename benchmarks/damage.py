"""Damage to the content of files, and the verdict over what was read all the same."""

import random
from collections.abc import Callable

CORNERS = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\x80\0\0\0")
PIECES = [
    *(b"&a ", b"*a", b"!!int ", b"!!python/name:os.system ", b"!x ", b"<<: ", b"? ", b"|\n", b"\t"),
    *(b"[", b"]", b"{", b"}", b": ", b"- ", b"'", b'"', b"\n  ", b"---\n", b"%YAML 9.9\n", b","),
    *(b"null", b"~", b"true", b"1e-3", b".nan", b"-1", b"9" * 400, b"${seed}", b"${a", b"\\ud800"),
    *(b"type: ", b"when: ", b"choices: ", b"low: ", b"fits: ", b"forbid: ", b"parameters: "),
    *(b"value % 2 == 0", b"9**9**9 > value", b"'a' * 10**10", b"defaults: ", b"NaN", b"[" * 99),
]
FOREIGN = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x08\0\0\0\x08\x08\x02",
    b"PK\x03\x04\x14\0\0\0\0\0",
    b"<!DOCTYPE html>\n<html><head><title>404, not found</title></head></html>\n",
    b"\x7fELF\x02\x01\x01\0\0\0",
    b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n",
    b"",
)
"""Beginnings of files of another type, which must not be read as whatever was expected."""

Door = Callable[[random.Random], object]
"""Damages one input, drawn with the generator, and reads it."""


class WrongDataError(Exception):
    """Damage that can be seen was read as if the input were whole."""


def require(holds: bool, what: str) -> None:
    """Raise WrongDataError unless what was read of a damaged input is right."""
    if not holds:
        raise WrongDataError(what)


def refuse(read: Callable[[], object], what: str) -> None:
    """Read a damaged input that has to be refused."""
    read()
    raise WrongDataError(f"{what} is accepted")


def damage(content: bytes, rng: random.Random) -> bytes:
    """Change a few bytes or stretches of a file."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = rng.randrange(len(data)) if data else 0
        match rng.randrange(6) if data else 3:
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.randrange(256)
            case 2:
                del data[at : at + rng.randrange(1, 20)]
            case 3:
                data[at:at] = rng.randbytes(rng.randrange(1, 8))
            case 4:
                other = rng.randrange(len(data))
                data[at:at] = data[other : other + rng.randrange(1, 60)]
            case _:
                data[at : at + 4] = rng.choice(CORNERS)
    return bytes(data)


def reword(content: bytes, rng: random.Random) -> bytes:
    """Put pieces of YAML or JSON into a text."""
    data = bytearray(damage(content, rng) if rng.random() < 0.5 else content)
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        at = rng.randrange(len(data) + 1)
        data[at:at] = rng.choice(PIECES)
    return bytes(data)


def cut(content: bytes, rng: random.Random) -> bytes:
    """Leave out the end of a file."""
    return content[: rng.randrange(len(content))] if content else content


def lose_cell(table: bytes, rng: random.Random) -> bytes:
    """Shift a row of a table by leaving out one of its cells, or by adding one."""
    header, *rows = table.decode().splitlines()
    at = rng.randrange(len(rows))
    cells = rows[at].split(",")
    if rng.random() < 0.5:
        del cells[rng.randrange(len(cells))]
    else:
        cells.insert(rng.randrange(len(cells)), "x")
    rows[at] = ",".join(cells)
    return "\n".join([header, *rows, ""]).encode()


def cut_row(table: bytes, rng: random.Random) -> bytes:
    """End a table in the middle of a row, before its last cell."""
    lines = table.decode().splitlines()
    last = rng.randrange(1, len(lines))
    kept = lines[last][: rng.randrange(1, lines[last].rindex(","))]
    return "\n".join([*lines[:last], kept]).encode()
