"""Measure classical codecs on the same pictures, as baselines for a learned codec."""

import contextlib
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import numpy as np
from PIL import Image, features
from PIL import __version__ as PILLOW

from tunewright.errors import NotWritten
from tunewright.images.thread_map import thread_map
from tunewright.recipes.compression.evaluation.fidelity import Fidelity, Picture, fidelity
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.machine.free_cores import cores


@dataclass(frozen=True)
class Classical:
    """A codec of Pillow and the qualities at which it is measured, in rising order.

    feature: the Pillow feature that it needs. options: further options of the codec. JPEG, WebP and
    AVIF use their default chroma subsampling, 4:2:0; JPEG 2000 has none. by_ratio: the qualities
    are compression ratios.
    """

    name: str
    feature: str
    qualities: tuple[int, ...]
    options: Mapping[str, Any]
    by_ratio: bool = False

    @property
    def settings(self) -> str:
        """The version and options of the codec, as shown beside its figures."""
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"Pillow {PILLOW}, {'4:4:4' if self.by_ratio else '4:2:0'}, {options}"

    @property
    def version(self) -> str:
        """The version of the library behind it."""
        return str(features.version(self.feature))

    def encode(self, picture: Picture, quality: int) -> tuple[int, Picture]:
        """Return the size of the file in bytes, and the decoded picture."""
        file = io.BytesIO()
        wanted: dict[str, Any] = (
            {"quality_mode": "rates", "quality_layers": [quality]}
            if self.by_ratio
            else {"quality": quality}
        )
        Image.fromarray(picture).save(file, self.name, **wanted, **self.options)
        with Image.open(io.BytesIO(file.getvalue())) as image:
            return len(file.getvalue()), np.asarray(image.convert("RGB"))


class PictureCodec(Protocol):
    """A codec as `Curves` measures it. qualities: in the order of rising rate."""

    @property
    def name(self) -> str:
        """Its name in Pillow and in our files."""
        ...

    @property
    def qualities(self) -> tuple[int, ...]:
        """The qualities at which it is measured."""
        ...

    @property
    def settings(self) -> str:
        """The version and options, as shown beside its figures."""
        ...

    @property
    def version(self) -> str:
        """What tells its builds apart, for the cache."""
        ...

    def encode(self, picture: Picture, quality: int) -> tuple[int, Picture]:
        """Return the bytes of the file, and the decoded picture; raises OSError, ValueError."""
        ...


CLASSICAL = (
    Classical(
        "jpeg",
        "jpg",
        (2, 5, 10, 20, 35, 55, 75, 88),
        {"optimize": True, "progressive": True},
    ),
    Classical("webp", "webp", (1, 15, 40, 65, 85, 95), {"method": 6}),
    Classical("avif", "avif", (5, 15, 30, 45, 60, 75, 88), {"speed": 6}),
)


JPEG_2000 = Classical(
    "jpeg2000",
    "jpg_2000",
    (200, 100, 60, 36, 24, 14, 8),
    {"irreversible": True},
    by_ratio=True,
)
"""Measured by `tunewright compare`: 24 bits a pixel divided by these ratios."""


def available() -> tuple[Classical, ...]:
    """Return the codecs that this Pillow can write."""
    return tuple(codec for codec in CLASSICAL if features.check(codec.feature))


@dataclass(frozen=True)
class CodecPoint:
    """One picture coded by one codec at one quality: bits per pixel and fidelity."""

    bpp: float
    fidelity: Fidelity


def code(picture: Picture, codec: PictureCodec, quality: int) -> CodecPoint:
    """Encode a picture and decode it; raises OSError or ValueError if the codec cannot."""
    count, decoded = codec.encode(picture, quality)
    height, width = picture.shape[:2]
    return CodecPoint(8.0 * count / (height * width), fidelity(picture, decoded))


class Curves:
    """Rate-distortion curves of the classical codecs, measured picture by picture.

    A codec that cannot write one of the pictures is left out, with a notice in `notes`. keep: the
    cache folder for the figures of each picture; None caches nothing.
    """

    def __init__(
        self, codecs: Sequence[PictureCodec] | None = None, *, keep: Path | None = None
    ) -> None:
        chosen: Sequence[PictureCodec] = available() if codecs is None else codecs
        self._keep = keep
        self._codecs = {codec.name: codec for codec in chosen}
        self._coded: dict[str, dict[int, list[CodecPoint]]] = {
            name: {quality: [] for quality in codec.qualities}
            for name, codec in self._codecs.items()
        }
        self.notes: list[str] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The codecs that are measured."""
        return tuple(self._codecs)

    def add(self, picture: Picture, name: str = "a picture") -> None:
        """Measure one more picture, in threads."""
        kept = CodecResultCache(picture, self._keep)
        jobs: list[tuple[PictureCodec, int]] = []
        for wanted in self._codecs.values():
            for quality in wanted.qualities:
                known = kept.get(_cache_key(wanted, quality))
                if known is None:
                    jobs.append((wanted, quality))
                else:
                    self._coded[wanted.name][quality].append(CodecPoint(*known))
        failed: dict[str, str] = {}
        made: dict[str, tuple[float, Fidelity]] = {}

        def one(job: tuple[PictureCodec, int]) -> CodecPoint | Exception:
            try:
                return code(picture, *job)
            except (OSError, ValueError) as error:  # sides over the format's own limits
                return error

        def collect(index: int, coded: CodecPoint | Exception) -> None:
            codec, quality = jobs[index]
            if isinstance(coded, CodecPoint):
                self._coded[codec.name][quality].append(coded)
                made[_cache_key(codec, quality)] = (coded.bpp, coded.fidelity)
            else:
                failed[codec.name] = str(coded)

        thread_map(one, jobs, collect, threads=cores(), chunk=1)
        kept.add(made)
        for codec, why in failed.items():
            del self._codecs[codec]
            self.notes.append(f"{codec} is left out: it cannot write {name} ({why})")

    def points(self, name: str) -> dict[int, list[CodecPoint]]:
        """Return what a codec reached at each quality, picture by picture in the order added."""
        return {quality: list(coded) for quality, coded in self._coded[name].items()}

    def curves(self) -> dict[str, dict[str, Any]]:
        """Return `quality`, `bpp`, `psnr` and `ms_ssim` of each codec: means, by rising rate.

        `ms_ssim` is left out unless every picture has one. Of two qualities with an equal rate or
        PSNR, as tiny pictures give, only the first is kept.
        """
        found: dict[str, dict[str, Any]] = {}
        for name, codec in self._codecs.items():
            rows = [_mean(quality, coded) for quality, coded in self._coded[name].items() if coded]
            kept: list[dict[str, float]] = []
            for row in sorted(rows, key=lambda row: row["bpp"]):
                if all(row["bpp"] != old["bpp"] and row["psnr"] != old["psnr"] for old in kept):
                    kept.append(row)
            keys = set.intersection(*map(set, kept)) if kept else set()
            lists = {key: [row[key] for row in kept] for key in MEASURED if key in keys}
            if lists:
                found[name] = {**lists, "settings": codec.settings}
        return found


def _cache_key(codec: PictureCodec, quality: int) -> str:
    """Return the cache key of a codec at a quality: its version and all its options."""
    return f"{codec.name} {codec.version}, quality {quality}, {codec.settings}"


MEASURED = ("quality", "bpp", "psnr", "ms_ssim")


def _mean(quality: int, coded: Sequence[CodecPoint]) -> dict[str, float]:
    row = {
        "quality": quality,
        "bpp": fmean(one.bpp for one in coded),
        "psnr": fmean(one.fidelity.psnr for one in coded),
    }
    near = [one.fidelity.ms_ssim for one in coded]
    known = [value for value in near if value is not None]
    if len(known) == len(near):
        row["ms_ssim"] = fmean(known)
    return row


VERSION = 2
"""Version of the comparison; cached figures of another version are measured again."""


class CodecResultCache:
    """Caches bits per pixel and fidelity of one picture, by codec, quality and options.

    folder: where the files are, one for each picture, named by a hash of its pixels; None caches
    nothing.
    """

    def __init__(self, picture: Picture, folder: Path | None) -> None:
        self._file: Path | None = None
        self._known: dict[str, tuple[float, Fidelity]] = {}
        if folder is not None:
            digest = hashlib.blake2b(f"{VERSION} {picture.shape}".encode(), digest_size=16)
            digest.update(picture.tobytes())
            self._file = folder / f"{digest.hexdigest()}.json"
            with contextlib.suppress(OSError):
                for name, (bpp, psnr, ms_ssim) in (read_json(self._file) or {}).items():
                    self._known[name] = (bpp, Fidelity(psnr, ms_ssim))

    def get(self, name: str) -> tuple[float, Fidelity] | None:
        """Return the cached figures, or None."""
        return self._known.get(name)

    def add(self, figures: Mapping[str, tuple[float, Fidelity]]) -> None:
        """Cache further figures; a folder that cannot be written is ignored."""
        if self._file is None or not figures:
            return
        self._known |= figures
        plain = {name: [bpp, *astuple(near)] for name, (bpp, near) in self._known.items()}
        with contextlib.suppress(NotWritten):
            write_json(self._file, plain)
