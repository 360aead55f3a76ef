"""The files of a lease: one for each holder, numbered, of which the highest one counts.

The next number is made by a hard link, which succeeds for one process alone, on network file
systems too. A holder that was asleep renews a file of a lower number, which nobody reads.
"""

import contextlib
import errno
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.runs.documents import parse_json

_NAME = re.compile(r"(\d{6,12})\.json")
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
"""Errors of file systems without hard links."""


@dataclass(frozen=True)
class StoredLease:
    """The newest lease in a folder. number: 0 where there is none. content: as on the disk."""

    number: int
    content: bytes = b""

    @property
    def values(self) -> Mapping[str, Any]:
        """What it says; empty for one that is not whole."""
        try:
            value = parse_json(self.content.decode())
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def is_held(self) -> bool:
        """Whether somebody has it, who may be dead."""
        return self.number > 0 and not self.values.get("released")


def read_newest(folder: Path) -> StoredLease:
    """Return the newest lease in a folder; raises OSError where it cannot be read."""
    while True:
        try:
            numbers = _numbers(folder)
        except FileNotFoundError:
            return StoredLease(0)
        if not numbers:
            return StoredLease(0)
        try:
            return StoredLease(numbers[-1], _path(folder, numbers[-1]).read_bytes())
        except FileNotFoundError:  # the next holder has removed it
            continue


def make_next(folder: Path, number: int, values: Mapping[str, Any]) -> bool:
    """Make the lease with this number; return whether it was this process that made it.

    Raises OSError where the folder cannot be written.
    """
    target, own = _path(folder, number), folder / f".{secrets.token_hex(8)}"
    _write(own, values)
    try:
        try:
            os.link(own, target)
        except FileExistsError:
            return own.stat().st_nlink == 2  # a server that answers twice refuses its own link
        except FileNotFoundError:  # a faster process has tidied up
            return False
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            return _make_alone(target, values)
    finally:
        with contextlib.suppress(OSError):
            own.unlink()
    return True


def replace(folder: Path, number: int, values: Mapping[str, Any]) -> None:
    """Put other values into an own lease; raises OSError where that is not possible."""
    own = folder / f".{secrets.token_hex(8)}"
    try:
        _write(own, values)
        own.replace(_path(folder, number))
    finally:
        with contextlib.suppress(OSError):
            own.unlink()


def remove_older(folder: Path, number: int) -> None:
    """Remove what former holders, and processes that were killed, have left."""
    with contextlib.suppress(OSError):
        for one in _numbers(folder):
            if one < number:
                _path(folder, one).unlink(missing_ok=True)
        for left in folder.glob(f".{'[0-9a-f]' * 16}"):
            left.unlink(missing_ok=True)


def _numbers(folder: Path) -> list[int]:
    found = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(one[1]) for one in found if one is not None)


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.json"


def _write(path: Path, values: Mapping[str, Any]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        _fill(descriptor, values)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _make_alone(target: Path, values: Mapping[str, Any]) -> bool:
    """Make a file that is not there; until it is filled, readers see a lease of nobody."""
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    _fill(descriptor, values)
    return True


def _fill(descriptor: int, values: Mapping[str, Any]) -> None:
    try:
        os.write(descriptor, (json.dumps(dict(values)) + "\n").encode())
    finally:
        os.close(descriptor)
