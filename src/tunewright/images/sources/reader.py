"""Read pictures by their place, from files and from any number of zips."""

import io
import os
import threading
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from tunewright.errors import DataError
from tunewright.images.databases.lmdb_reader import is_database
from tunewright.images.databases.stored_pictures import stored_picture
from tunewright.images.image_table import PicturePlace
from tunewright.images.sources.archive import UNPACKABLE, open_zip, unpack, why
from tunewright.images.sources.decode import rgb
from tunewright.runs.regular_files import open_regular, read_regular

SKIP = "or skip such files with data.skip_bad=true"


class PictureReader:
    """Reads the bytes and pictures of places, for any number of threads and processes.

    Each process opens each zip once, since a shared descriptor has one position for both; LMDBs are
    `databases.lmdb_reader`'s. It can be pickled, without what is open.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._archives: dict[Path, zipfile.ZipFile] = {}
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        PictureReader.__init__(self)

    def content(self, place: PicturePlace) -> bytes:
        """Return the bytes of a picture's file; raises DataError if it cannot be read."""
        try:
            if place.member is None:
                return read_regular(place.file)
            if is_database(place.file):
                return stored_picture(place.file, place.member)
            return unpack(self._archive(place.file), place.member)
        except (KeyError, OSError) as error:
            raise DataError(
                f"{place} cannot be read ({why(error)})", remedy=f"Check the path, {SKIP}."
            ) from None
        except UNPACKABLE as error:
            raise DataError(
                f"{place} cannot be unpacked ({error})", remedy=f"Copy the archive again, {SKIP}."
            ) from None

    def stream(self, place: PicturePlace) -> BinaryIO:
        """Open a picture's file, to read its header; raises DataError or OSError."""
        if place.member is None:
            return open_regular(place.file)
        return io.BytesIO(self.content(place))

    def picture(self, place: PicturePlace) -> Image.Image:
        """Return the picture as RGB, upright, cut to its box; raises what `rgb` raises."""
        return cut(rgb(self.content(place), place, place.window), place)

    def close(self) -> None:
        """Close the zips that this process opened; a later read opens them again."""
        with self._lock:
            if self._process == os.getpid():
                for archive in self._archives.values():
                    archive.close()
            self._archives.clear()

    def _archive(self, file: Path) -> zipfile.ZipFile:
        with self._lock:
            if self._process != os.getpid():  # after a fork, open zips belong to the parent
                self._process, self._archives = os.getpid(), {}
            if file not in self._archives:
                self._archives[file] = open_zip(file)
            return self._archives[file]


def cut(picture: Image.Image, place: PicturePlace) -> Image.Image:
    """Cut an upright picture to the box of its place, rounded outwards to whole pixels.

    Raises DataError if the box lies outside the picture.
    """
    if place.box is None:
        return picture
    left, top, right, bottom = place.box
    width, height = picture.size
    # -int(-x // 1) rounds up: for x = 3.2, -3.2 // 1 = -4 and the result is 4.
    box = (
        max(0, int(left)),
        max(0, int(top)),
        min(width, -int(-right // 1)),
        min(height, -int(-bottom // 1)),
    )
    if box[0] >= box[2] or box[1] >= box[3]:
        raise DataError(
            f"the box {list(place.box)} of {place} lies outside the picture",
            expected=f"left, top, right, bottom within {width} x {height} pixels",
            remedy=f"Correct it, {SKIP}.",
        )
    return picture.crop(box)
