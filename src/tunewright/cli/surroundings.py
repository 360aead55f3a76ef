"""Cope with the surroundings of a command: streams, terminal, working folder, operating system."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

REMEDIES = {
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "It is a link to itself: remove it, or name another place.",
    errno.ENOSPC: "Free space, or choose another disk.",
    errno.EDQUOT: "Free space, or choose another disk.",
    errno.EACCES: "Give yourself access to it, or name another place.",
    errno.EPERM: "Give yourself access to it, or name another place.",
    errno.EROFS: "Name a place that can be written.",
    errno.EISDIR: "A folder stands where a file is needed: move it, or name another place.",
    errno.ENOTDIR: "A file stands where a folder is needed: move it, or name another place.",
}


def prepare_streams() -> None:
    """Make the standard streams usable: open closed ones, and show what a terminal cannot.

    A closed descriptor would be given to the next file that is opened, and what is printed would
    land in it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream: Any = getattr(sys, name)
        if stream is None:
            stream = os.fdopen(descriptor, "w", encoding="utf-8", closefd=False)
            setattr(sys, name, stream)
        with contextlib.suppress(AttributeError, ValueError):  # a stream of a test, or of a wrapper
            stream.reconfigure(errors="backslashreplace")


def explain(error: BaseException) -> str | None:
    """Return one sentence about an error of the surroundings; None for any other error."""
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return "the home folder of this user is not known: set HOME, or write paths without ~."
    if not isinstance(error, OSError) or isinstance(error, BrokenPipeError):
        return None
    if error.filename is None:
        if not _has_working_folder():
            return "the working folder was deleted. Change to one that exists (cd)."
        if error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF):
            return (
                f"standard output or a file cannot be written ({error.strerror}). Free space, or "
                "send the output elsewhere."
            )
        return None
    remedy = REMEDIES.get(error.errno or 0, "")
    file = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
    return f"{file}: {error.strerror}. {remedy}".strip()


def silence(streams: Iterable[Any]) -> None:
    """Send what is left in streams that cannot be written to nowhere, so that exit is quiet."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(nowhere, stream.fileno())


def _has_working_folder() -> bool:
    try:
        Path.cwd()
    except OSError:
        return False
    return True
