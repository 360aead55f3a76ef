"""What a run changes of its process, and what is put back when it ends."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def keep_working_directory() -> Iterator[None]:
    """Return to the working directory afterwards: a user's function may change it."""
    try:
        before = Path.cwd()
    except FileNotFoundError:  # it was removed, so there is nothing to return to
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(before)


@contextmanager
def output_to(file: Path) -> Iterator[None]:
    """Append both standard streams, at the level of file descriptors, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, number in zip(saved, (1, 2), strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(log)
