"""What a trained compressor is worth: real files, decoded again, beside codecs that all know."""

import hashlib
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunewright.errors import ConfigError, DataError
from tunewright.parts.images.in_threads import cores
from tunewright.parts.images.reader import Reader
from tunewright.parts.images.shelf import is_picture, open_shelf
from tunewright.parts.images.table import Place
from tunewright.recipes.compression.beside import baselines, drawn, notes_beside
from tunewright.recipes.compression.classical import Curves, available
from tunewright.recipes.compression.codec.codec import compress_picture, decompress_picture
from tunewright.recipes.compression.codec.picture_files import Picture, read_picture
from tunewright.recipes.compression.config import CompressionConfig
from tunewright.recipes.compression.fidelity import fidelity
from tunewright.recipes.compression.lambdas import weight_of
from tunewright.recipes.compression.metrics import CompressionMetrics
from tunewright.recipes.compression.opened import Opened, open_compressor
from tunewright.recipes.compression.photos import open_photos
from tunewright.report.rate_distortion import (
    MS_SSIM,
    PSNR,
    rate_distortion_svg,
    write_rate_distortion,
)
from tunewright.runs.atomic import write_json, write_text
from tunewright.runs.folder import RunFolder

Told = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""
OWN, SIDE = 24, 1024
"""Photographs of the run's own data that are measured, and pixels a side of their middles.

Every training ends with it: it must neither take long nor need more memory than there is.
"""
KODAK = re.compile(r"kodim(0[1-9]|1\d|2[0-4])", re.IGNORECASE)
JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
TOLD = 5
"""Streams above their estimates that are named; there may be two for each picture."""
INTERVALS = ("bpp", "psnr", "ms_ssim")
MEASURED = (
    "bpp",
    "bpp_estimated",
    "psnr",
    "ms_ssim",
    "ms_ssim_db",
    "encode_seconds",
    "decode_seconds",
)
"""Of each picture; means of them are the run's figures."""
WARMING = 512
"""Pixels a side of what is coded once before anything is timed, at most."""


def evaluate(path: Path, split: str | None = None) -> dict[str, Any]:
    """Measure the run in `path` on its validation photographs; see `evaluate_on`.

    split: valid, or train. Of more than 24 photographs, 24 evenly spaced ones are measured, of
    large ones the middle, and of classical codecs JPEG alone.
    """
    opened = _open(path)
    name = "valid" if split in (None, "val") else split
    assert opened.config is not None
    photos = open_photos(opened.config.data)
    found = {"train": photos.train, "valid": photos.valid}.get(str(name))
    if found is None:
        raise ConfigError(
            f"split {split!r}",
            expected="one of train, valid",
            remedy="tunewright evaluate RUN --data DIR measures it on other pictures.",
        )
    rows = sorted({round(row) for row in np.linspace(0, len(found) - 1, min(OWN, len(found)))})
    pictures = [(found.ids[row], found.places[row]) for row in rows]
    notes = [f"{len(rows)} of {len(found):,} photographs"] if len(rows) < len(found) else []
    suffix = "" if split is None else f"-{name}"
    curves = Curves([codec for codec in available() if codec.name == "jpeg"])
    return _evaluated(opened, pictures, str(name), curves, suffix=suffix, notes=notes, side=SIDE)


def evaluate_on(path: Path, data: Path, told: Callable[[Any], None]) -> dict[str, Any]:
    """Measure the run in `path` on a folder or zip of pictures, or one picture, in whole files.

    Each is compressed into the bytes of a file, which are decompressed again; PSNR and MS-SSIM
    are of what comes out, bits per pixel of all bytes. Writes `evaluation.json`,
    `rate-distortion.html` and `rate-distortion.svg`, with JPEG, WebP and AVIF measured on the same
    pictures; returns the content of the JSON. Raises DataError for pictures that cannot be coded.
    """
    return _evaluated(
        _open(path), _listed(data), data.name, Curves(), told=lambda *said: told(said), data=data
    )


def _open(path: Path) -> Opened:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return open_compressor(RunFolder(path), device)


def _listed(data: Path) -> list[tuple[str, Place]]:
    if data.is_file() and is_picture(data.name):
        return [(data.name, Place(data))]
    shelf = open_shelf(data)
    if not shelf.pictures:
        raise DataError(
            f"{data} holds no pictures",
            expected="files such as .png or .jpg, in it or in the folders inside it",
        )
    return [(name, shelf.at(name)) for name in shelf.pictures]


def _silent(_what: str, _done: int, _total: int) -> None:
    """Nobody listens."""


def _evaluated(
    opened: Opened,
    pictures: Sequence[tuple[str, Place]],
    split: str,
    curves: Curves,
    *,
    suffix: str = "",
    notes: Sequence[str] = (),
    side: int | None = None,
    told: Told = _silent,
    data: Path | None = None,
) -> dict[str, Any]:
    folder, config = opened.folder, opened.config
    assert folder is not None
    assert config is not None
    reader, digest = Reader(), hashlib.blake2b(digest_size=16)
    metrics = CompressionMetrics()
    rows: list[dict[str, Any]] = []
    said, above = list(notes), []
    for number, (name, place) in enumerate(pictures):
        told("compressing, decompressing, comparing", number, len(pictures))
        picture = _read(reader, place, side)
        digest.update(np.array(picture.pixels.shape, dtype="<i8").tobytes())
        digest.update(picture.pixels.tobytes())
        if number == 0:
            _warm(opened, picture)
        row, notices = _measured(opened, name, picture)
        rows.append(row)
        said += picture.notices
        above += [f"{name}: {notice}" for notice in notices]
        metrics.update({key: torch.tensor([row[key]]) for key in MEASURED if key in row})
        curves.add(picture.pixels, name)
    reader.close()
    means = metrics.compute()
    for key in ("ms_ssim", "ms_ssim_db"):
        if sum(key in row for row in rows) < len(rows):  # a mean of some would mislead
            means.pop(key, None)
    measured = curves.curves()
    kodak = sum(bool(KODAK.fullmatch(Path(name).stem)) for name, _ in pictures) == len(pictures)
    result: dict[str, Any] = {
        "split": split,
        "images": len(rows),
        "data": None if data is None else str(data),
        "digest": digest.hexdigest(),
        "model": model_name(config),
        "lmbda": _lambda(config),
        "loss": config.loss.type,
        **{key: means[key] for key in INTERVALS if key in means},
        "metrics": means,
        **{
            f"{key}_interval": list(ends)
            for key in INTERVALS
            if key in means and (ends := metrics.interval(key)) is not None
        },
        "baselines": baselines(means, measured),
        "device": _device(opened.device),
        "threads": torch.get_num_threads(),
        "per_image": rows,
        "classical": measured,
        "published": "kodak" if kodak else None,
    }
    said += above[:TOLD]
    if len(above) > TOLD:
        said.append(f"and {len(above) - TOLD} more streams are above their estimates as much")
    lossy = sum(name.lower().endswith(JPEG) for name, _ in pictures)
    if lossy and "jpeg" in measured:
        said.append(
            f"{lossy} of {len(rows)} pictures are JPEG files: written again, they cost JPEG less "
            "than others would"
        )
    said += [*curves.notes, *notes_beside(result)]
    result["notes"] = said
    result["files"] = [f"evaluation{suffix}.json", *_draw(folder, result, suffix)]
    write_json(folder.path / f"evaluation{suffix}.json", result)
    return result


def _read(reader: Reader, place: Place, side: int | None) -> Picture:
    """A picture, or as much of its middle as is `side` pixels wide and high."""
    if place.member is None:
        picture = read_picture(place.file)
    else:
        picture = Picture(np.array(reader.picture(place)), False, ())
    height, width = picture.pixels.shape[:2]
    if side is None or max(height, width) <= side:
        return picture
    down, right = (max(0, length - side) // 2 for length in (height, width))
    return replace(picture, pixels=picture.pixels[down : down + side, right : right + side])


def _warm(opened: Opened, picture: Picture) -> None:
    """Code something once: what is made at the first use is no part of a picture's time."""
    decompress_picture(
        opened, compress_picture(opened, picture.pixels[:WARMING, :WARMING], verify=False).data
    )


def _measured(
    opened: Opened, name: str, picture: Picture
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """One picture's figures, and what is to be said of its file."""
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


def model_name(config: CompressionConfig) -> str:
    """As it stands in figures: `HPCM-tiny`, `hyperprior-128-192`."""
    model = config.model
    if model.type == "hpcm":
        return f"HPCM-{model.size}"
    return f"hyperprior-{model.channels}-{model.latent}"


def _lambda(config: CompressionConfig) -> float:
    loss = config.loss
    return weight_of(loss.type, loss.quality, loss.lmbda, loss.off_table).lmbda


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {cores()} cores)"


def _draw(folder: RunFolder, result: Mapping[str, Any], suffix: str) -> list[str]:
    """The plot as a page and as a picture; their names."""
    page, picture = (folder.path / f"rate-distortion{suffix}.{end}" for end in ("html", "svg"))
    title = f"{result['split']}, {result['images']} pictures, {result['model']}"
    curves = drawn(result, "psnr")
    panels = [(PSNR, curves), (MS_SSIM, drawn(result, "ms_ssim"))]
    write_rate_distortion(panels, page, title=title)
    write_text(picture, rate_distortion_svg(curves, axis=PSNR, title=title))
    return [page.name, picture.name]
