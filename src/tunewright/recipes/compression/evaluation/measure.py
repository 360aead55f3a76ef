"""Compress pictures to whole files and back, and measure rate, quality and time."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunewright.errors import DataError
from tunewright.images.image_table import PicturePlace
from tunewright.images.sources.reader import PictureReader
from tunewright.recipes.compression.codec.codec import compress_picture, decompress_picture
from tunewright.recipes.compression.codec.picture_files import Picture, read_picture
from tunewright.recipes.compression.codec.trained_compressor import TrainedCompressor
from tunewright.recipes.compression.evaluation.classical_codecs import Curves
from tunewright.recipes.compression.evaluation.fidelity import fidelity
from tunewright.recipes.compression.evaluation.measured_cache import MeasuredPictureCache
from tunewright.recipes.compression.evaluation.metrics import CompressionMetrics

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and the total."""
JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
NAMED_AT_MOST = 5
"""How many streams above their estimates are listed; there may be two for each picture."""
MEANS = (
    "bpp",
    "bpp_estimated",
    "psnr",
    "ms_ssim",
    "ms_ssim_db",
    "encode_seconds",
    "decode_seconds",
)
WARMING = 512
"""Largest side, in pixels, of the crop that is coded once before anything is timed."""


@dataclass(frozen=True)
class CompressionScores:
    """The scores of a compressor on a set of pictures.

    rows: one for each picture. means: over pictures, of scores that all of them have. intervals: of
    the means, 95 %, by the bootstrap over pictures. digest: of all pixels. classical: see
    `Curves.curves`.
    """

    rows: list[dict[str, Any]]
    means: dict[str, float]
    intervals: Mapping[str, tuple[float, float]]
    digest: str
    classical: dict[str, dict[str, Any]]
    notes: list[str]


def measure(
    opened: TrainedCompressor,
    pictures: Sequence[tuple[str, PicturePlace]],
    curves: Curves,
    *,
    side: int | None = None,
    skip_bad: bool = False,
    keep: Path | None = None,
    on_progress: OnProgress | None = None,
) -> CompressionScores:
    """Compress, decompress and compare each picture, and add it to `curves`.

    pictures: names and places. side: measure only the middle of each picture, of this side in
    pixels. skip_bad: leave out pictures that cannot be read, as the training did, with a note.
    keep: the cache folder for the figures of each picture, whose seconds are then those of an
    earlier call; None measures all anew. Raises DataError for pictures that cannot be read or
    coded.
    """
    reader, digest, metrics = PictureReader(), hashlib.blake2b(digest_size=16), CompressionMetrics()
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    above: list[str] = []
    warm = False
    for number, (name, place) in enumerate(pictures):
        if on_progress is not None:
            on_progress("compressing, decompressing, comparing", number, len(pictures))
        try:
            picture = read_measured(reader, place, side)
        except DataError as error:
            if not skip_bad:
                raise
            notes.append(f"{name} is left out, as data.skip_bad says: {error.came}")
            continue
        digest.update(np.array(picture.pixels.shape, dtype="<i8").tobytes())
        digest.update(picture.pixels.tobytes())
        cache = MeasuredPictureCache(opened, picture.pixels, keep)
        if (stored := cache.get()) is None:
            if not warm:
                _warm(opened, picture)
                warm = True
            stored = _measure_picture(opened, name, picture)
            cache.set(*stored)
        row, notices = {**stored[0], "name": name}, stored[1]
        rows.append(row)
        notes += picture.notices
        above += [f"{name}: {notice}" for notice in notices]
        metrics.update(
            {key: torch.tensor([row[key]], dtype=torch.float64) for key in MEANS if key in row}
        )
        curves.add(picture.pixels, name)
    reader.close()
    if not rows:
        raise DataError(f"none of {len(pictures)} pictures can be read; {notes[0]}")
    means = metrics.compute()
    for key in ("ms_ssim", "ms_ssim_db"):
        if sum(key in row for row in rows) < len(rows):  # a mean of some would mislead
            means.pop(key, None)
    intervals = {key: ends for key in means if (ends := metrics.interval(key)) is not None}
    classical = curves.curves()
    notes += above[:NAMED_AT_MOST]
    if len(above) > NAMED_AT_MOST:
        more = len(above) - NAMED_AT_MOST
        notes.append(f"and {more} more streams exceed their estimates in the same way")
    lossy = sum(name.lower().endswith(JPEG) for name, _ in pictures)
    if lossy and "jpeg" in classical:
        notes.append(
            f"{lossy} of {len(rows)} pictures are JPEG files: written again, they cost JPEG less "
            "than others would"
        )
    return CompressionScores(
        rows, means, intervals, digest.hexdigest(), classical, notes + curves.notes
    )


def read_measured(reader: PictureReader, place: PicturePlace, side: int | None = None) -> Picture:
    """Read a picture as it is measured; with `side`, its middle as a training would read it.

    Raises DataError for a picture that cannot be read.
    """
    if side is None and place.member is None:
        return read_picture(place.file, deep=True)
    pixels = np.array(reader.picture(place))
    if side is not None:
        down, right = (max(0, length - side) // 2 for length in pixels.shape[:2])
        pixels = pixels[down : down + side, right : right + side]
    return Picture(pixels, False, ())


def _warm(opened: TrainedCompressor, picture: Picture) -> None:
    """Code a crop once, so that one-time initialisation is not part of a picture's time."""
    decompress_picture(
        opened, compress_picture(opened, picture.pixels[:WARMING, :WARMING], verify=False).data
    )


def _measure_picture(
    opened: TrainedCompressor, name: str, picture: Picture
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Measure one picture; return its figures, and notices about its file."""
    pixels = picture.pixels
    written = compress_picture(opened, pixels, grey=picture.grey, verify=False, name=name)
    read = decompress_picture(opened, written.data, name=name)  # checks every value it decodes
    near = fidelity(pixels, read.picture)
    height, width = pixels.shape[:2]
    count = height * width
    row: dict[str, Any] = {
        "name": name,
        "width": width,
        "height": height,
        "bytes": len(written.data),
        "bpp": 8 * len(written.data) / count,
        "bpp_estimated": sum(written.estimated_bits.values()) / count,
        "psnr": near.psnr,
        "encode_seconds": written.seconds,
        "decode_seconds": read.seconds,
        "decode_coder_seconds": read.coder_seconds,
        "real_bits": dict(written.real_bits),
        "estimated_bits": dict(written.estimated_bits),
    }
    if near.ms_ssim is not None:
        row |= {"ms_ssim": near.ms_ssim, "ms_ssim_db": near.ms_ssim_db}
    return row, written.notices
