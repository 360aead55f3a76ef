"""A stamp that tells a file from its predecessor at the same path, without reading it."""

import os
from pathlib import Path

Stamp = tuple[int, int, int, int]
"""Size in bytes, times of the last change of content and of the file in nanoseconds, inode."""


def file_stamp(file: Path | str) -> Stamp | None:
    """Return the stamp of a file; None where it is missing or inaccessible.

    Size and time of content alone are not enough: uncompressed images have equal sizes, and
    archives and `cp -p` copy the times of others. No program can set the time at which the file
    itself was changed, and a rename brings another inode.
    """
    try:
        status = os.stat(file)  # noqa: PTH116 - a Path for each of a million files takes longer
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
