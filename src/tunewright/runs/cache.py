"""The cache folder for files that can be recomputed."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from tunewright.errors import NotWritten

SETTING = "TUNEWRIGHT_CACHE"
"""Environment variable with the folder itself."""


def cache_folder() -> Path:
    """Return the cache folder, made if necessary.

    It is `$TUNEWRIGHT_CACHE`, else `$XDG_CACHE_HOME/tunewright`, else `~/.cache/tunewright`; where
    the latter two cannot be written, a temporary folder of this user. Raises NotWritten if the
    folder that was set cannot be written, and if the temporary folder is there already and not
    this user's alone: what another user put there would be taken for our own data.
    """
    if given := os.environ.get(SETTING):
        return _as_set(Path(given).expanduser().absolute())
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: the home is not known
        base = os.environ.get("XDG_CACHE_HOME", "")
        # The specification says that a relative path is to be ignored.
        home = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
        return _writable(home / "tunewright")
    shared = Path(tempfile.gettempdir()) / f"tunewright-{os.geteuid()}"
    with contextlib.suppress(FileExistsError):
        shared.mkdir(mode=0o700)
    found = shared.lstat()
    others = stat.S_IWGRP | stat.S_IWOTH
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & others:
        raise NotWritten(
            f"the cache folder {shared} belongs to another user, or others may write in it",
            expected="a folder that only this user writes",
            remedy=f"Remove it, or set HOME, {SETTING} or TMPDIR to a folder of your own.",
        )
    return shared


def _as_set(folder: Path) -> Path:
    try:
        return _writable(folder)
    except OSError as error:
        raise NotWritten(
            f"{SETTING} = {folder} cannot be written ({error.strerror or error})",
            expected="a folder for files that can be recomputed",
            remedy="Set it to a folder that you may write, or unset it.",
        ) from None


def _writable(folder: Path) -> Path:
    """Make a folder and return it; raises OSError where no file can be made in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return folder


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
