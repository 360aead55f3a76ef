"""Pictures that cannot be decoded: find them, remember them by content, leave them out."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from tunewright.errors import DataError
from tunewright.images.dataset.content_hash import content_keys, joined_digest
from tunewright.images.image_table import ImageTable, PicturePlace
from tunewright.images.sources.build_table import some
from tunewright.images.sources.reader import PictureReader
from tunewright.images.thread_map import CHUNK, thread_map
from tunewright.runs.atomic import read_json, write_json, write_text
from tunewright.runs.cache import cache_folder
from tunewright.runs.callbacks import OnProgress

T = TypeVar("T")
SHARE = 0.05
"""If a larger share is broken, something is wrong with the whole set: even skip_bad stops."""
VERSION = "2"
"""Version of the folders that are named by content."""
VERDICTS = "broken.json"
LISTED = "skipped.txt"

Broken = Mapping[int, str]
"""Row of a table -> why it cannot be used."""


def without_broken(
    table: ImageTable, on_progress: OnProgress | None = None
) -> tuple[ImageTable, list[str]]:
    """Return the table without pictures that cannot be decoded, and a notice about them.

    Decodes every picture once per content and keeps the result. Raises DataError if more than 5 %
    are broken.
    """
    folder = content_folder(table)
    broken = read_verdicts(folder, table)
    if broken is None:
        broken = decode_all(table, lambda _: None, lambda _row, _made: None, on_progress)
        write_verdicts(folder, table, broken)
    if not broken:
        return table, []
    check_share(table, broken)
    good = np.setdiff1d(np.arange(len(table)), np.array(sorted(broken)))
    return table.take(good), [describe_skipped(folder, table, broken)]


def content_folder(table: ImageTable, folder: Path | None = None) -> Path:
    """Return the folder for what is derived from these pictures, named by their content."""
    name = joined_digest((VERSION, *content_keys(table)))
    return (folder or cache_folder() / "images") / name


def read_verdicts(folder: Path, table: ImageTable) -> Broken | None:
    """Return which rows are broken, if that was found before; None if not."""
    stored = read_json(folder / VERDICTS)
    if stored is None:
        return None
    return {int(row): why.format(table.places[int(row)]) for row, why in stored.items()}


def write_verdicts(folder: Path, table: ImageTable, broken: Broken) -> None:
    """Keep which pictures are broken, and list them for the user in `skipped.txt`."""
    plain = {
        str(row): why.replace("{", "{{").replace("}", "}}").replace(str(table.places[row]), "{}")
        for row, why in broken.items()
    }
    if broken:
        listed = [f"{table.ids[row]}\t{broken[row]}\n" for row in sorted(broken)]
        write_text(folder / LISTED, "".join(listed))
    write_json(folder / VERDICTS, plain)


def check_share(table: ImageTable, broken: Broken) -> None:
    """Raise DataError if so many pictures are broken that skipping them would hide a problem."""
    if len(broken) > _max_unreadable(len(table)):
        raise DataError(
            f"{len(broken):,} of {len(table):,} pictures of {table.origin} cannot be used "
            f"({_reasons(broken)})",
            expected=f"at most {SHARE:.0%} to be skipped",
            remedy="Something happened to the whole set: copy or download it again.",
        )


def refuse(table: ImageTable, broken: Broken) -> None:
    """Raise DataError that names broken pictures and what to do, unless there are none."""
    if broken:
        raise DataError(
            f"{len(broken):,} of {len(table):,} pictures of {table.origin} cannot be used "
            f"({_reasons(broken)})",
            remedy="Replace the files, or leave them out with data.skip_bad=true.",
        )


def describe_skipped(folder: Path, table: ImageTable, broken: Broken) -> str:
    """Describe in one sentence what was skipped."""
    named = some(table.ids[row] for row in sorted(broken))
    return (
        f"{len(broken):,} of {len(table):,} pictures are skipped as unreadable ({named}); the "
        f"reasons are in {folder / LISTED}"
    )


def decode_all(
    table: ImageTable,
    prepare: Callable[[Image.Image], T],
    keep: Callable[[int, T], object],
    on_progress: OnProgress | None,
    *,
    chunk: int = CHUNK,
) -> dict[int, str]:
    """Call `keep(row, prepare(picture))` in order of the rows; return why the others are broken.

    prepare: runs in threads, `keep` in this one. chunk: as for `thread_map`. Raises DataError as
    `check_share` does, soon after that is certain.
    """
    broken: dict[int, str] = {}
    reader = PictureReader()

    def decode(place: PicturePlace) -> T | _Reason:
        try:
            return prepare(reader.picture(place))
        except DataError as error:
            return _Reason(reason(error))

    def take(row: int, made: T | _Reason) -> None:
        if isinstance(made, _Reason):
            broken[row] = made
            if len(broken) > 2 * _max_unreadable(len(table)):
                check_share(table, broken)
        else:
            keep(row, made)
        if on_progress is not None:
            on_progress(row + 1, len(table))

    with contextlib.closing(reader):
        thread_map(decode, table.places, take, chunk=chunk)
    check_share(table, broken)
    return broken


def reason(error: DataError) -> str:
    """Return the message of a picture's DataError, without the advice that all of them share."""
    return error.came + (f" (expected {error.expected})" if error.expected else "")


class _Reason(str):
    """Why a picture cannot be used."""


def _max_unreadable(rows: int) -> int:
    """Return how many broken pictures skip_bad accepts."""
    return max(1, int(SHARE * rows))


def _reasons(broken: Broken) -> str:
    return some(broken[row] for row in sorted(broken))
