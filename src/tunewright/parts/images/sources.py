"""Opening a source of pictures, whatever it is: class folders, CSV, manifest, zip, index."""

from pathlib import Path

from tunewright.parts.images.table import ImageTable


def open_table(place: Path, *, labelled: bool = True, group_by: str | None = "auto") -> ImageTable:
    """Find out what lies at `place` and list its pictures; nothing is decoded.

    labelled: false for pictures to predict, which may lie in a plain folder or zip.
    Raises DataError with what is recognised and what was found.
    """
    raise NotImplementedError
