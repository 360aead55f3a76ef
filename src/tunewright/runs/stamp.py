"""What tells a file from whatever lay at its path before, without reading it."""

import os
from pathlib import Path

Stamp = tuple[int, int, int, int]
"""Size in bytes, times of the last change of content and of the file, in nanoseconds, inode."""


def file_stamp(file: Path | str) -> Stamp | None:
    """The stamp of a file; None where there is none that can be looked at.

    Size and time of content alone are not enough: pictures without compression are of one size,
    and archives and `cp -p` give their files the times of others. No program can set the time at
    which the file itself was changed, and what a rename puts at a path has another inode.
    """
    try:
        status = os.stat(file)  # noqa: PTH116 - a Path for each of a million files takes longer
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
