"""Read pictures from files for coding, and write decoded ones without loss."""

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tunewright.errors import DataError, UsageError
from tunewright.images.dataset.channel_bits import HEAD, channel_bits
from tunewright.images.dataset.unreadable import reason
from tunewright.images.sources.decode import rgb
from tunewright.runs.atomic import NAMED, write_with
from tunewright.runs.regular_files import read_regular

Pixels = npt.NDArray[np.uint8]

LOSSLESS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    ".png": ("PNG", {}),
    ".bmp": ("BMP", {}),
    ".ppm": ("PPM", {}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_deflate"}),
    ".webp": ("WEBP", {"lossless": True}),
}
"""Ends of names to formats that keep every pixel, and Pillow's options for them."""
GREY_MODES = ("1", "L", "LA", "La")


@dataclass(frozen=True)
class Picture:
    """The pixels of a picture file.

    pixels: uint8 [H, W, 3], upright, transparency over white. grey: the file has one channel.
    notices: what is lost, such as transparency.
    """

    pixels: Pixels
    grey: bool
    notices: tuple[str, ...]


def read_picture(file: Path, *, deep: bool = False) -> Picture:
    """Decode a picture file.

    deep: take the upper 8 of 16 bits in each of three channels, as a training does, with a notice.
    Raises DataError for what is missing, no picture, broken, deeper than 8 bits a channel, or so
    large that it may be a decompression bomb.
    """
    try:
        content = read_regular(file)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from None
    with warnings.catch_warnings():  # the size is checked against the free memory instead
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            picture = rgb(content, file)
        except DataError as error:
            raise DataError(reason(error), remedy=_advice(error)) from None
        opened = Image.open(io.BytesIO(content))
    depth = channel_bits(opened, content[:HEAD])
    clear = "transparency" in opened.info or "A" in opened.getbands()
    frames = getattr(opened, "n_frames", 1)
    mode = opened.mode
    notices = []
    if depth > 8 and deep:
        notices.append(f"{file}: the upper 8 of {depth} bits a channel are measured")
    elif depth > 8:
        raise DataError(
            f"{file} has {depth} bits a channel",
            expected="8",
            remedy="Convert it, choosing which values become black and white.",
        )
    if clear:
        notices.append(f"{file}: transparency is not kept; the picture is placed on white")
    if frames > 1:
        notices.append(f"{file}: only the first of {frames} frames is kept")
    return Picture(np.array(picture), mode in GREY_MODES, tuple(notices))


def format_of(file: Path) -> str:
    """Return the extension of a lossless format; raises UsageError for any other extension."""
    suffix = file.suffix.lower()
    if suffix in LOSSLESS:
        return suffix
    raise UsageError(
        f"{file}: {suffix or 'no file extension'}",
        expected=f"a format that keeps every pixel: {', '.join(LOSSLESS)}",
        remedy="Convert the result where a lossy copy is wanted.",
    )


def write_picture(file: Path, pixels: Pixels, *, grey: bool) -> None:
    """Write uint8 [H, W, 3] without loss, in the format of the name, whole or not at all.

    grey: as one channel. Raises UsageError for other formats, NotWritten as `write_with` does.
    """
    kind, options = LOSSLESS[format_of(file)]
    picture = Image.fromarray(pixels[:, :, 0] if grey else pixels)
    write_with(file, lambda place: picture.save(place, format=kind, **options), remedy=NAMED)


def _advice(error: DataError) -> str:
    """Return the remedy of a picture's error without its advice for trainings (to skip it)."""
    return error.remedy.partition(", or skip")[0].rstrip(".") + "." if error.remedy else ""
