"""Where things that can be made again are kept between runs."""

import tempfile
from collections.abc import Callable
from pathlib import Path


def cache_folder() -> Path:
    """`~/.cache/tunewright`, or a folder under the system's temporary one if that is closed."""
    wanted = Path.home() / ".cache" / "tunewright"
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except OSError:
        fallback = Path(tempfile.gettempdir()) / "tunewright"
        fallback.mkdir(parents=True, exist_ok=True)
        return fallback


def made_once(target: Path, make: Callable[[Path], object]) -> Path:
    """`target`, filled by `make` if it is not there yet; whole or absent, whoever else makes it.

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
            if not target.is_dir():  # otherwise another process was faster: its files are ours
                raise
    return target
