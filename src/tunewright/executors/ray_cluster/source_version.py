"""The version of this package by its code, to compare it on two hosts."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def source_version() -> str:
    """Return the version with a digest of all source files ("0.1.0 (3f9a0c12)")."""
    top = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for file in sorted(top.rglob("*.py")):
        digest.update(file.relative_to(top).as_posix().encode() + b"\0" + file.read_bytes())
    return f"{version('tunewright')} ({digest.hexdigest()[:8]})"
