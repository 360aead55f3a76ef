"""Where things that can be made again are kept between runs."""

import tempfile
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
