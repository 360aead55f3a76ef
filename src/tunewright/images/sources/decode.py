"""Read pictures from a folder or a zip, decode them ahead in threads, name the broken ones.

What can be corrected without loss is corrected: rotation by EXIF, grey, palettes, CMYK,
transparency (over white). What would need a guess is refused: which values of a picture of more
than 8 bits are black and white has to be stated.
"""

import hashlib
import re
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Generic, Self, TypeVar

import numpy as np
from PIL import ExifTags, Image

from tunewright.errors import ConfigError, DataError, quote, shorten
from tunewright.images.sources.archive import (
    UNPACKABLE,
    is_picture,
    list_files,
    open_zip,
    unpack,
    why,
)
from tunewright.images.sources.file_matching import suggest_picture
from tunewright.images.sources.heic import open_picture
from tunewright.images.sources.unicode_forms import by_form, to_nfc
from tunewright.runs.machine.free_cores import cores
from tunewright.runs.regular_files import read_regular

T = TypeVar("T")
BYTE = 255
DEEP_MODES = ("I", "F")  # 16- and 32-bit grey, which Pillow would clip instead of scaling
Turn = Image.Transpose
UPRIGHT = {
    2: Turn.FLIP_LEFT_RIGHT,
    3: Turn.ROTATE_180,
    4: Turn.FLIP_TOP_BOTTOM,
    5: Turn.TRANSPOSE,
    6: Turn.ROTATE_270,
    7: Turn.TRANSVERSE,
    8: Turn.ROTATE_90,
}
"""The operation that undoes each EXIF orientation."""
_UNNAMED = re.compile(r" file <_io\.BytesIO object at 0x[0-9a-f]+>")
"""What Pillow says for the name of a picture that it got as bytes."""


@dataclass(frozen=True)
class DecodedFile(Generic[T]):
    """One file's result: a value and the digest of its pixels, or the error."""

    name: str
    digest: bytes = b""
    value: T | None = None
    error: DataError | None = None


class PictureSource(AbstractContextManager["PictureSource"]):
    """Pictures by name from a folder or a `.zip`, for use in a `with` block.

    The block, not the generator of `decode`, owns archive and threads: Python closes a generator
    that an error left behind whenever it collects it, and joining threads there can deadlock.
    Raises DataError if the place is missing or not a zip.
    """

    def __init__(self, place: Path | str) -> None:
        self.place = Path(place)
        self._archive: zipfile.ZipFile | None = None
        self._forms: dict[str, list[str]] | None = None
        self._threads = cores()
        self._pool = ThreadPoolExecutor(self._threads)  # starts a thread when one is needed
        if self.place.is_dir():
            return
        try:
            self._archive = open_zip(self.place)
        except FileNotFoundError:
            raise DataError(
                f"{self.place} does not exist", expected="a folder or a zip of pictures"
            ) from None
        except (OSError, *UNPACKABLE) as error:
            raise DataError(
                f"{self.place} is not a zip file, or is incomplete ({why(error)})",
                expected="a folder or a zip of pictures",
                remedy="Copy or download it again.",
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        if self._archive is not None:
            self._archive.close()

    def open(self, name: str) -> Image.Image:
        """Decode one picture to RGB, upright, with transparency over white.

        Raises DataError, naming the file, if it is missing, empty, broken or too deep.
        """
        return rgb(self._read(name), self.place / name)

    def decode(
        self, names: Sequence[str], prepare: Callable[[Image.Image], T]
    ) -> Iterator[DecodedFile[T]]:
        """Yield every picture's `prepare(picture)` in order, decoded ahead on all cores.

        A file that cannot be used yields its error instead; the caller decides what to do.
        """

        def one(name: str) -> DecodedFile[T]:
            try:
                picture = self.open(name)
            except DataError as error:
                return DecodedFile(name, error=error)
            digest = hashlib.blake2b(picture.tobytes(), digest_size=16)
            digest.update(repr(picture.size).encode())
            return DecodedFile(name, digest.digest(), prepare(picture))

        ahead: deque[Future[DecodedFile[T]]] = deque()
        for name in names:
            ahead.append(self._pool.submit(one, name))
            if len(ahead) > 4 * self._threads:  # bounds the memory of queued pictures
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _read(self, name: str) -> bytes:
        try:
            return self._content(name)
        except (KeyError, FileNotFoundError):
            if (other := self._in_other_form(name)) is not None:
                return self._read(other)
            raise self._not_readable(name, "there is none") from None
        except OSError as error:
            raise self._not_readable(name, why(error)) from None
        except UNPACKABLE as error:
            raise DataError(
                f"{name!r} in {self.place} cannot be unpacked ({error})",
                remedy="Copy the archive again, or skip such files with data.skip_bad=true.",
            ) from None

    def _content(self, name: str) -> bytes:
        if self._archive is not None:
            return unpack(self._archive, str(PurePosixPath(name)))
        return read_regular(self.place / name)

    def _in_other_form(self, name: str) -> str | None:
        """Return the one file that differs in its Unicode form, or in the suffix that it has."""
        if name.isascii() and is_picture(name):
            return None
        if self._forms is None:
            names = self._names() if self._archive is not None else list_files(self.place).names
            self._forms = by_form(names)
        form = to_nfc(str(PurePosixPath(name)))
        found = self._forms.get(form, [])
        if not found and not is_picture(name):
            every = (file for files in self._forms.values() for file in files)
            found = [n for n in every if is_picture(n) and to_nfc(n).rpartition(".")[0] == form]
        return found[0] if len(found) == 1 and found[0] != name else None

    def _not_readable(self, name: str, reason: str) -> DataError:
        return DataError(
            f"{self.place} has no readable {quote(name)} ({reason})",
            expected="every file of the table",
            remedy=suggest_picture(name, self._names())
            or "Check the path, or skip such files with data.skip_bad=true.",
        )

    def _names(self) -> list[str]:
        if self._archive is not None:
            return self._archive.namelist()
        return [path.name for path in self.place.iterdir()]


def rgb(content: bytes, name: object, window: tuple[float, float] | None = None) -> Image.Image:
    """Decode the bytes of a picture file to RGB, upright, with transparency over white.

    name: of the file, for messages. window: the stored values that become black and white in
    pictures of a single channel, linear between them. Raises DataError for a file that is empty,
    incomplete, not a picture, deeper than 8 bits in a single channel without a window, or so large
    that it may be a decompression bomb; ConfigError for HEIC without its plug-in.
    """
    if not content:
        raise DataError(
            f"{name} is empty",
            remedy="Copy the file again, or skip such files with data.skip_bad=true.",
        )
    try:
        picture = open_picture(content, name)
        deep = picture.mode.partition(";")[0] in DEEP_MODES
        if window is not None and (deep or (picture.mode == "L" and window[1] <= BYTE)):
            return _apply_window(_upright(picture), window)
        if not deep:
            return _plain(_upright(picture))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            f"{name} is too large ({error})",
            expected=f"at most {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels",
            remedy="Scale it down, or skip such files with data.skip_bad=true.",
        ) from None
    except ConfigError:  # of the plug-in that is missing, not of the file
        raise
    except Exception as error:  # each format's decoder has errors of its own
        reason = shorten(" ".join(_UNNAMED.sub("", str(error)).split())) or type(error).__name__
        raise DataError(
            f"{name} is not a readable picture ({reason})",
            remedy="Replace the file, or skip such files with data.skip_bad=true.",
        ) from None
    raise DataError(
        f"{name} has {picture.mode} pixels",
        expected="8 bits a channel, or (longtail and flowers) data.window",
        remedy="Convert it, choosing which values become black and white (longtail and flowers do "
        "it with data.window=[0, 65535]), or skip such files with data.skip_bad=true.",
    )


def _apply_window(picture: Image.Image, window: tuple[float, float]) -> Image.Image:
    """Return a picture of one channel as RGB: `window` becomes 0 to 255, the rest is clipped.

    With a window of 0 to 4095, the value 2048 becomes 128. What is not a number becomes black.
    """
    low, high = window
    share = (np.asarray(picture, dtype=np.float64) - low) / (high - low)
    pixels = np.rint(255.0 * np.nan_to_num(share, nan=0.0).clip(0.0, 1.0)).astype(np.uint8)
    return Image.fromarray(pixels).convert("RGB")


def _upright(picture: Image.Image) -> Image.Image:
    """Rotate as EXIF says; Pillow's own `exif_transpose` also copies pictures that are upright."""
    picture.load()  # rotates a TIFF, whose EXIF then no longer asks for it
    try:
        turn = UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return picture  # ignore broken EXIF, as every viewer does
    return picture if turn is None else picture.transpose(turn)


def _plain(picture: Image.Image) -> Image.Image:
    if "transparency" not in picture.info and "A" not in picture.getbands():
        return picture.convert("RGB")
    over = picture.convert("RGBA")
    white = Image.new("RGBA", over.size, "white")
    return Image.alpha_composite(white, over).convert("RGB")
