"""The cache folder for files that can be recomputed."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from tunewright.errors import NotWritten


def cache_folder() -> Path:
    """Return `~/.cache/tunewright`, or a temporary folder of this user if that is not writable.

    Raises NotWritten if the temporary folder is there already and not this user's alone: what
    another user put there would be taken for our own data.
    """
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: the home is not known
        wanted = Path.home() / ".cache" / "tunewright"
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    shared = Path(tempfile.gettempdir()) / f"tunewright-{os.geteuid()}"
    with contextlib.suppress(FileExistsError):
        shared.mkdir(mode=0o700)
    found = shared.lstat()
    others = stat.S_IWGRP | stat.S_IWOTH
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & others:
        raise NotWritten(
            f"the cache folder {shared} belongs to another user, or others may write in it",
            expected="a folder that only this user writes",
            remedy="Remove it, or set HOME or TMPDIR to a folder of your own.",
        )
    return shared


def make_once(target: Path, make: Callable[[Path], object]) -> Path:
    """Return `target`, filled by `make` if it is absent; safe with several processes at once.

    make: gets an empty folder beside the target, which is then renamed.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as temporary:
        made = Path(temporary) / target.name
        made.mkdir()
        make(made)
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another process was faster: use its files
                raise
    return target
