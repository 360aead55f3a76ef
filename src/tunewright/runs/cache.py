"""The cache folder for files that can be recomputed."""

import tempfile
from collections.abc import Callable
from pathlib import Path


def cache_folder() -> Path:
    """Return `~/.cache/tunewright`, or a temporary folder of the system if that is not writable."""
    wanted = Path.home() / ".cache" / "tunewright"
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except OSError:
        fallback = Path(tempfile.gettempdir()) / "tunewright"
        fallback.mkdir(parents=True, exist_ok=True)
        return fallback


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
