"""Measure several runs and the classical codecs on one set of pictures, picture by picture."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.errors import DataError
from tunewright.images.dataset.unreadable import reason
from tunewright.images.image_table import PicturePlace
from tunewright.images.sources.build_table import some
from tunewright.images.sources.reader import PictureReader
from tunewright.images.thread_map import thread_map
from tunewright.recipes.compression.codec.trained_compressor import open_compressor
from tunewright.recipes.compression.evaluation.classical_codecs import (
    JPEG_2000,
    CodecPoint,
    Curves,
    PictureCodec,
    available,
)
from tunewright.recipes.compression.evaluation.comparison import SHOWN, lambda_of
from tunewright.recipes.compression.evaluation.evaluation import (
    codec_cache_folder,
    list_pictures,
)
from tunewright.recipes.compression.evaluation.external_codecs import find_external
from tunewright.recipes.compression.evaluation.measure import measure, read_measured
from tunewright.recipes.compression.evaluation.measured_curve import CurvePoint, MeasuredCurve
from tunewright.runs.cache import cache_folder
from tunewright.runs.folder import RunFolder
from tunewright.training.device import default_device

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class MeasuredSet:
    """What all codecs reach on one set of pictures.

    curves: runs first. skipped: why pictures could not be read, by name. absent: codecs that were
    not measured, and why. notes: caveats.
    """

    name: str
    data: Path
    pictures: tuple[str, ...]
    digest: str
    curves: tuple[MeasuredCurve, ...]
    skipped: Mapping[str, str]
    absent: Mapping[str, str]
    notes: tuple[str, ...]


def measure_sets(
    runs: Sequence[tuple[str, Path]],
    data: Mapping[str, Path],
    on_progress: OnProgress,
    *,
    skip_bad: bool = False,
) -> list[MeasuredSet]:
    """Measure runs and codecs on each set; figures of each picture are kept in the cache folder.

    The same call therefore goes on where it was stopped, and a further run costs only its own time.
    runs: the name of the curve that each belongs to, and its folder. data: folders
    of pictures by name. skip_bad: leave out pictures that cannot be read. Raises DataError for
    pictures that cannot be coded and, before anything is measured, for those that cannot be read.
    """
    skipped = {
        name: _unreadable(folder, on_progress, skip_bad=skip_bad) for name, folder in data.items()
    }
    listed = {
        name: [one for one in list_pictures(folder) if one[0] not in skipped[name]]
        for name, folder in data.items()
    }
    total = (len(runs) + 1) * sum(map(len, listed.values()))
    done, found = 0, []
    for name, pictures in listed.items():
        points: dict[str, list[tuple[float, CurvePoint]]] = defaultdict(list)
        notes = _skipped_notes(name, skipped[name])
        digest, names = "", ()
        for curve, path in runs:
            opened = open_compressor(RunFolder(path), default_device())
            assert opened.config is not None
            scores = measure(
                opened,
                pictures,
                Curves([]),
                keep=cache_folder() / "compressed",
                on_progress=_counting(on_progress, done, total),
            )
            done += len(pictures)
            lmbda = lambda_of(opened.config)
            points[curve].append((lmbda, _run_point(f"lambda {lmbda:g}", scores.rows)))
            notes += [f"{path.name}: {note}" for note in scores.notes]
            digest, names = scores.digest, tuple(row["name"] for row in scores.rows)
        codecs, absent, codec_notes = _classical(pictures, _counting(on_progress, done, total))
        done += len(pictures)
        ours = [
            MeasuredCurve(curve, "run", tuple(point for _, point in sorted(of, key=lambda o: o[0])))
            for curve, of in points.items()
        ]
        notes += [
            f"{curve}: {len(of)} runs and {len({lmbda for lmbda, _ in of})} lambdas: name the "
            "curves, as NAME=RUN, so that each lambda is there once"
            for curve, of in points.items()
            if len({lmbda for lmbda, _ in of}) < len(of)
        ]
        found.append(
            MeasuredSet(
                name,
                data[name],
                names,
                digest,
                (*ours, *codecs),
                skipped[name],
                absent,
                tuple(dict.fromkeys([*notes, *codec_notes])),
            )
        )
    on_progress("comparing", total, total)
    return found


def _unreadable(folder: Path, on_progress: OnProgress, *, skip_bad: bool) -> dict[str, str]:
    """Return why pictures of a folder cannot be read, by name; each is decoded once.

    Raises DataError for all of them where none is to be left out, or none would be left.
    """
    pictures, reader = list_pictures(folder), PictureReader()
    found: dict[str, str] = {}

    def fault(picture: tuple[str, PicturePlace]) -> str:
        try:
            read_measured(reader, picture[1])
        except DataError as error:
            return reason(error)
        return ""

    def take(number: int, why: str) -> None:
        if why:
            found[pictures[number][0]] = why
        on_progress("reading pictures", number + 1, len(pictures))

    with contextlib.closing(reader):
        thread_map(fault, pictures, take, chunk=1)
    if found and (not skip_bad or len(found) == len(pictures)):
        skip = ", or leave them out with --skip-bad" if len(found) < len(pictures) else ""
        raise DataError(
            f"{len(found):,} of {len(pictures):,} pictures of {folder} cannot be read "
            f"({some(found.values())})",
            remedy=f"Replace the files{skip}.",
        )
    return found


def _skipped_notes(name: str, skipped: Mapping[str, str]) -> list[str]:
    if not skipped:
        return []
    are = "picture is" if len(skipped) == 1 else "pictures are"
    return [f"{len(skipped):,} {are} left out of {name} as unreadable ({some(skipped)})"]


def _counting(on_progress: OnProgress, before: int, total: int) -> OnProgress:
    """Return a callback for one part of the work, which begins after `before` pictures."""
    return lambda _what, number, _of: on_progress("comparing", before + number, total)


def _run_point(label: str, rows: Sequence[Mapping[str, Any]]) -> CurvePoint:
    near = [row.get("ms_ssim") for row in rows]
    known = tuple(float(value) for value in near if value is not None)
    return CurvePoint(
        label,
        tuple(float(row["bpp"]) for row in rows),
        tuple(float(row["psnr"]) for row in rows),
        known if len(known) == len(rows) else None,
        tuple(float(row["bpp_estimated"]) for row in rows),
    )


def _classical(
    pictures: Sequence[tuple[str, PicturePlace]], on_progress: OnProgress
) -> tuple[list[MeasuredCurve], dict[str, str], list[str]]:
    """Measure the codecs that are there; return them, why others are not, and notes."""
    external, absent = find_external()
    inside = {codec.name: codec for codec in available()}
    codecs: list[PictureCodec] = [*inside.values()]
    try:
        JPEG_2000.encode(np.zeros((8, 8, 3), np.uint8), JPEG_2000.qualities[-1])
        codecs.append(JPEG_2000)
    except (OSError, ValueError, KeyError) as error:
        absent["jpeg2000"] = f"not measured: this Pillow cannot write it ({error})"
    codecs += external
    absent |= {
        name: "not measured: this Pillow cannot write it"
        for name in ("jpeg", "webp", "avif")
        if name not in inside
    }
    curves, reader = Curves(codecs, keep=codec_cache_folder()), PictureReader()
    for number, (name, place) in enumerate(pictures):
        on_progress("", number, len(pictures))
        try:
            curves.add(read_measured(reader, place).pixels, name)
        except DataError as error:
            raise DataError(f"{name}: {error.came}") from None
    reader.close()
    found = [
        MeasuredCurve(
            SHOWN[codec.name],
            "classical",
            tuple(
                _codec_point(f"{'ratio' if codec is JPEG_2000 else 'quality'} {quality}", of)
                for quality, of in curves.points(codec.name).items()
            ),
            codec.settings,
        )
        for codec in codecs
        if codec.name in curves.names
    ]
    return found, {SHOWN[name]: why for name, why in absent.items()}, list(curves.notes)


def _codec_point(label: str, coded: Sequence[CodecPoint]) -> CurvePoint:
    near = [one.fidelity.ms_ssim for one in coded]
    known = tuple(value for value in near if value is not None)
    return CurvePoint(
        label,
        tuple(one.bpp for one in coded),
        tuple(one.fidelity.psnr for one in coded),
        known if len(known) == len(coded) else None,
    )
