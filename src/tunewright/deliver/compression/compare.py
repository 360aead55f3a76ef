"""`tunewright compare`: runs and classical codecs on sets of pictures, with BD-rates."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from tunewright.config.check import validate
from tunewright.deliver.compression.rate_curves import METRICS, matching_paths
from tunewright.deliver.compression.select_compressor import select_compressor
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import RunSelection, run_in_subprocess
from tunewright.errors import DataError, UsageError, did_you_mean
from tunewright.recipes.compression.config import CompressionConfig
from tunewright.recipes.compression.evaluation.bd_rate import METHODS, Method, bjontegaard
from tunewright.recipes.compression.evaluation.comparison import SHOWN, model_name
from tunewright.recipes.compression.evaluation.external_codecs import find_external
from tunewright.recipes.compression.evaluation.measured_curve import (
    MeasuredCurve,
    Metric,
    bd_rate_interval,
)
from tunewright.reports.rate_distortion import (
    MS_SSIM,
    PSNR,
    PlotCurve,
    rate_distortion_svg,
    write_rate_distortion,
)
from tunewright.result import Result
from tunewright.runs.atomic import NAMED, write_text
from tunewright.runs.folder import RunFolder
from tunewright.runs.regular_files import exists

FILES = ("comparison.json", "rate-distortion.html", "rate-distortion.svg")


@dataclass(frozen=True)
class BdRateOptions:
    """How BD-rates are computed.

    anchor: the name of the curve that they refer to. method: the interpolation between points, of
    `bd_rate.METHODS`. metric: psnr or ms_ssim. Names count in any case.
    """

    anchor: str = "JPEG"
    method: str = "akima"
    metric: str = "psnr"


@dataclass(frozen=True)
class ComparedCurve(Result):
    """A codec on one set. points: one row each, means over pictures.

    bd_rate: percent against the anchor, None where it is not known; interval: its 95 %, over
    pictures; why: the reason where one of them is missing.
    """

    name: str
    kind: str
    points: tuple[Mapping[str, Any], ...]
    bd_rate: float | None
    interval: tuple[float, float] | None
    why: str = ""


@dataclass(frozen=True)
class ComparedSet(Result):
    """A set of pictures with all curves.

    images: how many were measured. skipped: why the others could not be read, by name. absent:
    codecs that were not measured, and why.
    """

    name: str
    data: str
    images: int
    digest: str
    curves: tuple[ComparedCurve, ...]
    skipped: Mapping[str, str]
    absent: Mapping[str, str]
    notes: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class CompareReport(Result):
    """Runs and codecs on all sets. anchor: the curve that BD-rates refer to, by `method`."""

    anchor: str
    method: Method
    metric: Metric
    sets: tuple[ComparedSet, ...]
    notes: tuple[str, ...] = ()


def compare(
    runs: Sequence[Path | str],
    options: BdRateOptions | None = None,
    *,
    data: Sequence[Path | str],
    output: Path | str = Path("comparison"),
    runs_dir: Path = Path("runs"),
    skip_bad: bool = False,
    on_progress: ProgressCallback | None = None,
) -> CompareReport:
    """Measure runs and the classical codecs that are there on each folder of pictures.

    runs: a run, a folder or a quoted pattern of runs; `NAME=RUN` puts it into the curve NAME, else
    into that of its model. Each set gets a table in `comparison.json` and a plot, in a folder below
    `output`. skip_bad: leave out pictures that cannot be read, with a notice that names them, in
    place of raising. Raises UsageError for an unknown anchor, method or metric, DataError for what
    is no run and, before anything is measured, for pictures that cannot be read.
    """
    options = options or BdRateOptions()
    how = _one_of(options.method, METHODS, "--method")
    what: Metric = _one_of(options.metric, METRICS, "--metric")
    named = [pair for word in runs for pair in _runs(str(word), runs_dir)]
    sets = _sets(data)
    place = Path(output).expanduser()
    if place.is_file():
        raise UsageError(f"--output {output} is a file", expected="a folder")
    anchor = _one_of(options.anchor, [*SHOWN.values(), *(curve for curve, _ in named)], "--anchor")
    absent = {SHOWN[codec]: why for codec, why in find_external()[1].items()}
    if anchor in absent:
        raise UsageError(f"--anchor {anchor}, {absent[anchor]}", expected="a codec that is there")
    first = named[0][1]
    members = tuple(member for _, one in named for member in one.members)
    selection = RunSelection(first.folder, members, threads=first.threads)
    measured = run_in_subprocess(
        selection,
        _measure,
        [(curve, one.members[0].path) for curve, one in named],
        sets,
        skip_bad,
        on_progress=on_progress,
    )
    notes = tuple(dict.fromkeys(note for _, one in named for note in one.notes))
    found = tuple(_compare_set(one, anchor, how, what, place) for one in measured)
    return CompareReport(anchor, how, what, found, notes)


def _measure(
    _selection: RunSelection,
    runs: Sequence[tuple[str, Path]],
    sets: Mapping[str, Path],
    skip_bad: bool,
    on_progress: ProgressCallback,
) -> Any:
    """Measure in a process that may import torch."""
    from tunewright.recipes.compression.evaluation.measure_sets import measure_sets

    return measure_sets(runs, sets, on_progress, skip_bad=skip_bad)


def _runs(word: str, runs: Path) -> list[tuple[str, RunSelection]]:
    """Return the compressors that a word names, each with the name of its curve."""
    curve, equals, rest = word.partition("=")
    if not equals or exists(word):
        curve, rest = "", word
    curve = curve.strip()
    place = Path(rest).expanduser()
    if any(sign in rest for sign in "*?["):
        paths = [path for path in matching_paths(place) if path.is_dir()]
        paths = paths or [path for path in matching_paths(runs / place) if path.is_dir()]
        if not paths:
            raise DataError(f"no run matches {rest}", expected="folders of runs")
    else:
        folder = place if place.is_dir() or not (runs / place).is_dir() else runs / place
        inner = sorted(path for path in folder.glob("*") if _has_weights(path))
        paths = inner if inner and not _has_weights(folder) and not _is_study(folder) else [place]
    found = [select_compressor(path, runs) for path in paths]
    return [(curve or _model_of(one), one) for one in found]


def _model_of(run: RunSelection) -> str:
    return model_name(validate(run.single().read_config(), CompressionConfig))


def _has_weights(folder: Path) -> bool:
    return (RunFolder(folder).checkpoints / "best.safetensors").is_file()


def _is_study(folder: Path) -> bool:
    return (folder / "study.yaml").is_file()


def _sets(data: Sequence[Path | str]) -> dict[str, Path]:
    """Return the folders of pictures by name; two of one name get that of their parent too."""
    found: dict[str, Path] = {}
    for one in data:
        path = Path(one).expanduser().absolute()
        name = path.name if path.name not in found else f"{path.parent.name}-{path.name}"
        if name in found:
            raise UsageError(f"--data {one} twice", expected="different folders of pictures")
        if not exists(path):
            raise DataError(f"{one} does not exist", expected="a folder of pictures")
        found[name] = path
    if not found:
        raise UsageError("no --data was given", expected="one folder of pictures or more")
    return found


def _one_of(given: str, known: Sequence[str], option: str) -> Any:
    """Return the known name that was meant, whatever its case; raise UsageError for none."""
    folded = {name.lower().replace(" ", ""): name for name in known}
    found = folded.get(given.lower().replace(" ", ""))
    if found is None:
        raise UsageError(
            f"{option} {given}",
            expected=f"one of {', '.join(dict.fromkeys(known))}",
            remedy=did_you_mean(given, known),
        )
    return found


def _compare_set(
    measured: Any, anchor: str, method: Method, metric: Metric, output: Path
) -> ComparedSet:
    """Compute the BD-rates of a set, and write its table and plots."""
    name = _one_of(anchor, [curve.name for curve in measured.curves], "--anchor")
    against = next(curve for curve in measured.curves if curve.name == name)
    notes = list(measured.notes)
    curves = []
    for curve in measured.curves:
        compared, notices = _against(against, curve, method, metric)
        curves.append(compared)
        notes += notices
        notes += curve.above_estimate()
    folder = output / re.sub(r"[^\w.-]+", "-", measured.name)
    files = tuple(folder / file for file in FILES)
    title = f"{measured.name}, {len(measured.pictures)} pictures"
    panels = [
        (axis, _plot(measured.curves, one)) for axis, one in ((PSNR, "psnr"), (MS_SSIM, "ms_ssim"))
    ]
    found = ComparedSet(
        measured.name,
        str(measured.data),
        len(measured.pictures),
        measured.digest,
        tuple(curves),
        measured.skipped,
        measured.absent,
        tuple(dict.fromkeys(notes)),
        files,
    )
    stored = {"anchor": name, "method": method, "metric": metric, **found.as_json()}
    stored["files"] = [file.name for file in files]
    write_text(files[0], json.dumps(stored, indent=2, allow_nan=False) + "\n", remedy=NAMED)
    write_rate_distortion(panels, files[1], title=title)
    axis, lines = panels[0] if metric == "psnr" else panels[1]
    write_text(files[2], rate_distortion_svg(lines, axis=axis, title=title), remedy=NAMED)
    return found


def _against(
    anchor: MeasuredCurve, curve: MeasuredCurve, method: Method, metric: Metric
) -> tuple[ComparedCurve, list[str]]:
    """Return a curve with its BD-rate, and the notices that belong to the number."""
    points = tuple(_row(curve, index) for index in range(len(curve.points)))
    if curve.name == anchor.name:
        return ComparedCurve(curve.name, curve.kind, points, None, None, "the anchor"), []
    one, other = anchor.curve(metric), curve.curve(metric)
    if one is None or other is None:
        short = anchor.name if one is None else curve.name
        why = f"{short} has fewer than two points with {metric}"
        return ComparedCurve(curve.name, curve.kind, points, None, None, why), []
    found = bjontegaard(one, other, method=method)
    rate = found.bd_rate if math.isfinite(found.bd_rate) else None
    about = [n for n in found.notices if "BD-PSNR" not in n]
    notices = [f"{curve.name} against {anchor.name}: {notice}" for notice in about]
    if rate is None:
        return ComparedCurve(curve.name, curve.kind, points, None, None, "no overlap"), notices
    interval, why = bd_rate_interval(anchor, curve, metric=metric, method=method)
    return ComparedCurve(curve.name, curve.kind, points, rate, interval, why), notices


def _row(curve: MeasuredCurve, index: int) -> dict[str, Any]:
    point = curve.points[index]
    row: dict[str, Any] = {"point": point.label, "bpp": fmean(point.bpp)}
    if point.estimated is not None:
        row["bpp_estimated"] = fmean(point.estimated)
    row["psnr"] = fmean(point.psnr)
    if point.ms_ssim is not None:
        row["ms_ssim"] = fmean(point.ms_ssim)
    return row


def _plot(curves: Sequence[MeasuredCurve], metric: str) -> list[PlotCurve]:
    found = []
    for curve in curves:
        rates, qualities = curve.means("psnr" if metric == "psnr" else "ms_ssim")
        if rates:
            found.append(PlotCurve(curve.name, rates, qualities, curve.kind, curve.settings))
    return found
