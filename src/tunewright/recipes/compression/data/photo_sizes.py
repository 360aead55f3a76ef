"""Read the sizes of photographs from their headers, once for each content."""

import contextlib
from collections.abc import MutableMapping
from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image

from tunewright.errors import NotWritten
from tunewright.images.dataset.unreadable import content_folder
from tunewright.images.image_table import ImageTable, Indices, PicturePlace
from tunewright.images.sources.reader import PictureReader
from tunewright.images.thread_map import thread_map
from tunewright.runs.atomic import read_json, write_json

FILE = "sizes.json"


def photo_sizes(table: ImageTable) -> Indices:
    """Return width and height in pixels as stored, before EXIF rotation: int64 [N, 2].

    Photographs without a readable header get 0; decoding reports the reason.
    """
    whole = table.whole or table
    if (found := _KNOWN.get(whole)) is None:
        found = _KNOWN[whole] = _looked_up(whole)
    return found if table.whole_rows is None else found[table.whole_rows]


_KNOWN: MutableMapping[ImageTable, Indices] = WeakKeyDictionary()
"""By table, for as long as it lives."""


def _looked_up(table: ImageTable) -> Indices:
    file = content_folder(table) / FILE
    stored = read_json(file)
    if stored is not None and len(stored["sizes"]) == len(table):
        return np.array(stored["sizes"], dtype=np.int64)
    sizes = np.zeros((len(table), 2), dtype=np.int64)
    reader = PictureReader()

    def store(row: int, size: tuple[int, int]) -> None:
        sizes[row] = size

    with contextlib.closing(reader):
        thread_map(lambda place: _size(reader, place), table.places, store)
    with contextlib.suppress(NotWritten):  # kept to save time, needed by nobody
        write_json(file, {"sizes": sizes.tolist()})
    return sizes


def _size(reader: PictureReader, place: PicturePlace) -> tuple[int, int]:
    try:
        with reader.stream(place) as content, Image.open(content) as picture:
            return picture.size
    except Exception:  # each format's decoder has errors of its own
        return 0, 0
