"""Single pictures that are named one by one, or by a pattern."""

import glob
from collections.abc import Iterable
from pathlib import Path

from tunewright.errors import DataError
from tunewright.images.image_table import ImageTable, PicturePlace
from tunewright.images.sources.archive import PICTURES, is_picture, natural
from tunewright.images.sources.build_table import TableRow, table_of
from tunewright.runs.regular_files import exists, is_folder


def names_pictures(word: str) -> bool:
    """Return whether a word names pictures: a file with the suffix of one, or a pattern."""
    return (is_picture(word) and not is_folder(word)) or _is_pattern(word)


def find_pictures(words: Iterable[str]) -> list[Path]:
    """Return the pictures that some names and patterns (`shots/*.jpg`) stand for, each once.

    Those of a pattern come in natural order. Raises DataError for a file that does not exist, and
    for a pattern that fits no picture.
    """
    found: list[Path] = []
    for word in words:
        path = Path(word).expanduser()
        if exists(path):
            found.append(path)
            continue
        # Path.glob refuses patterns such as a**.jpg.
        names = sorted(glob.glob(str(path), recursive=True), key=natural)  # noqa: PTH207
        pictures = [Path(name) for name in names if is_picture(name)]
        if not pictures:
            came = f"no picture fits {word}" if _is_pattern(word) else f"{word} does not exist"
            raise DataError(
                came,
                expected=f"files with one of the suffixes {', '.join(sorted(PICTURES))}",
                remedy="Check the path.",
            )
        found += pictures
    return list(dict.fromkeys(found))


def table_of_files(files: Iterable[Path]) -> ImageTable:
    """Return the table of some pictures; ids are their paths as given."""
    rows = [TableRow(str(file), PicturePlace(file.absolute())) for file in files]
    return table_of(Path.cwd(), rows, labelled=False)


def _is_pattern(word: str) -> bool:
    return glob.has_magic(word) and not exists(word)
