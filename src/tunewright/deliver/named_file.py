"""A file that an option names, looked at before the work with it begins."""

from pathlib import Path

from tunewright.errors import UsageError


def named_file(given: Path | str, option: str = "--output") -> Path:
    """Where it is, absolute; UsageError where a folder stands."""
    file = Path(given).expanduser().absolute()
    if file.is_dir():
        raise UsageError(f"{option} {given} is a folder", expected="the name of a file")
    return file
