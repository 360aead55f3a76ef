"""Read files that others name: a pipe would wait for ever, a device would never end."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def exists(path: Path | str) -> bool:
    """Return whether there is anything; False for a name that the system cannot even look up.

    `Path.exists` raises OSError where a name has 300 letters.
    """
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: Path | str) -> bool:
    """Return whether there is a regular file, or a link to one; False as for `exists`."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path | str) -> bool:
    """Return whether there is a folder, or a link to one; False as for `exists`."""
    return os.path.isdir(path)  # noqa: PTH112


def open_regular(path: Path | str) -> BufferedReader:
    """Open a file for reading, in binary; links are followed.

    Raises OSError, also for what is no regular file: its `strerror` then says what is there.
    """
    try:
        # Without O_NONBLOCK a pipe is only opened when somebody writes to it.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # a name with a NUL character
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            kind = _KINDS.get(stat.S_IFMT(mode), "something else")
            raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))
        return open(handle, "rb")  # noqa: PTH123
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path | str, *, most: int | None = None) -> bytes:
    """Return the bytes of a file. most: how many are accepted; raises OSError as `open_regular`."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than {most:,}", str(path))
        return file.read()
