"""Read picture files out of LMDBs: raw bytes of ours, pairs in base64 of other programs."""

import base64
import binascii
from pathlib import Path

from tunewright.errors import DataError
from tunewright.images.databases.lmdb_reader import open_database
from tunewright.images.databases.pickled_tuples import BUILD_AGAIN, PICKLE, Plain, read_tuple

SIDES = ("left", "right")


def stored_picture(file: Path, member: str) -> bytes:
    """Return the bytes of a picture file.

    member: a key whose value is the picture, or KEY/left and KEY/right where it is a pickled pair
    of pictures in base64. Raises DataError for a key that is not there or holds something else.
    """
    database = open_database(file)
    found = database.get(member)
    if found is None:
        key, _, side = member.rpartition("/")
        if side not in SIDES:
            database.require(member)
        picture = pickled_pair(file, key)[SIDES.index(side)]
        if picture is None:
            raise DataError(f"{file} has no {side} picture of {key!r}")
        return from_base64(picture, f"the {side} picture of key {key!r} in {file}")
    if found.startswith(PICKLE):
        raise DataError(f"the key {member!r} of {file} holds a pickle", expected="a picture file")
    return found


def pickled_pair(file: Path, key: str) -> tuple[bytes | None, bytes | None]:
    """Return left and right picture in base64, None for an eye without one.

    A value that is no pickle is one picture in base64, which stands for both. Raises DataError.
    """
    value = open_database(file).require(key)
    if not value.startswith(PICKLE):
        return value, value
    values = read_tuple(value, f"key {key!r} in {file}")
    if len(values) != len(SIDES):
        raise DataError(
            f"the value of key {key!r} in {file} is a tuple of {len(values)}",
            expected="left and right picture",
            remedy=BUILD_AGAIN,
        )
    left, right = (_as_bytes(one, key, file) for one in values)
    return left, right


def _as_bytes(value: Plain, key: str, file: Path) -> bytes | None:
    if value is None or value in ("", b""):
        return None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise DataError(
        f"the value of key {key!r} in {file} holds {value!r}", expected="pictures in base64"
    )


def from_base64(cell: bytes, where: str) -> bytes:
    """Return what URL-safe or plain base64 stands for; padding may be missing. Raises DataError."""
    plain = cell.strip().translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise DataError(
            f"{where} is not base64",
            expected="a picture file in URL-safe base64",
            remedy="Write it again, or take it out.",
        ) from None
