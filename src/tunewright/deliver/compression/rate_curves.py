"""Finds rate-distortion curves: lists in a file, evaluated runs, or published results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tunewright.errors import DataError, UsageError
from tunewright.recipes.compression.evaluation.comparison import SHOWN, reference_curves
from tunewright.recipes.compression.evaluation.published_curves import PREFIX, find_published
from tunewright.recipes.compression.evaluation.rate_curve import RateCurve, decibels, rate_curve
from tunewright.reports.rate_distortion import PlotCurve
from tunewright.runs.documents import parse_json
from tunewright.runs.regular_files import read_regular

Metric = Literal["psnr", "ms_ssim"]
METRICS: tuple[Metric, ...] = ("psnr", "ms_ssim")
EVALUATION = "evaluation.json"
EXPECTED = (
    'a JSON file {"bpp": [...], "psnr": [...]}, a folder or pattern of evaluated runs, '
    "RUN/evaluation.json:jpeg, or published:hpcm-base@kodak"
)


@dataclass(frozen=True)
class NamedCurve:
    """A curve and what it was read from.

    digest: of the pictures that it was measured on, where that is known. notices: what was made
    of what was read. label: what it is called in a plot. beside: other curves that were measured
    on the same pictures.
    """

    name: str
    curve: RateCurve
    digest: str = ""
    notices: tuple[str, ...] = ()
    label: str = ""
    beside: tuple[PlotCurve, ...] = ()


def find_curve(
    source: Path | str | Mapping[str, Any], *, metric: Metric = "psnr", runs: Path = Path("runs")
) -> NamedCurve:
    """Return the curve that `source` names, of PSNR or of MS-SSIM in decibels.

    source: a file of lists; a folder or a pattern (`runs/hpcm-*`) of runs that were evaluated,
    each a point; `FILE:jpeg` for a classical codec that an evaluation measured beside the run;
    `published:NAME`; or the mapping itself. Raises DataError, with file and key, for what is no
    curve, UsageError for a name that nothing has.
    """
    if isinstance(source, Mapping):
        return _of_lists(source, "the mapping", metric)
    text = str(source)
    if text.startswith(PREFIX):
        return _published_curve(text, metric)
    for path in (Path(text).expanduser(), runs / text):
        if path.is_dir():
            return _of_runs(_evaluations(path), str(path), metric)
        if path.is_file():
            return _of_file(path, metric)
        if found := matching_paths(path):
            files = [file for match in found for file in _evaluations(match)]
            return _of_runs(files, text, metric)
    file, colon, codec = text.rpartition(":")
    if colon and Path(file).is_file():
        return _classical(Path(file), codec, metric)
    raise DataError(f"{text} does not exist", expected=EXPECTED)


def _published_curve(text: str, metric: Metric) -> NamedCurve:
    found = find_published(text.removeprefix(PREFIX))
    if metric != "psnr":
        raise UsageError(f"{text} by {metric}", expected="--metric psnr: no other was published")
    curve = rate_curve(found.bpp, found.psnr, where=text)
    return NamedCurve(text, curve, notices=(found.source,), label=f"{found.codec} (published)")


def _of_file(file: Path, metric: Metric) -> NamedCurve:
    stored = _json(file)
    if not isinstance(stored.get("bpp"), list):
        return _of_runs([file], str(file), metric)
    return _of_lists(stored, str(file), metric)


def _of_lists(stored: Mapping[str, Any], where: str, metric: Metric) -> NamedCurve:
    lists: dict[str, Any] = {
        key: stored[key].tolist() if hasattr(stored[key], "tolist") else stored[key]
        for key in ("bpp", metric)
        if key in stored
    }
    for key in ("bpp", metric):
        if not isinstance(lists.get(key), Sequence) or isinstance(lists[key], str):
            there = ", ".join(map(repr, stored)) or "nothing"
            raise DataError(
                f"no list {key!r} among {there}",
                expected=f'{{"bpp": [...], "{metric}": [...]}}',
                where=where,
            )
    return _curve(where, lists["bpp"], lists[metric], metric, digest=stored.get("digest"))


def _curve(
    where: str,
    bpp: Sequence[Any],
    values: Sequence[Any],
    metric: Metric,
    *,
    digest: object = None,
    ordered: bool = True,
) -> NamedCurve:
    curve = rate_curve(bpp, values, where=where, key=metric, ordered=ordered)
    notices: tuple[str, ...] = ()
    if metric == "ms_ssim":
        if max(curve.quality) < 1.0:
            quality = tuple(decibels(value) for value in curve.quality)
            curve = RateCurve(curve.bpp, quality)
        elif min(curve.quality) >= 1.0:
            notices = (f"{where}: ms_ssim values of 1 or more are read as decibels",)
        else:
            raise DataError(
                f"ms_ssim from {min(curve.quality):g} to {max(curve.quality):g}",
                expected="fractions below 1, or decibels, not both",
                where=where,
            )
    known = digest if isinstance(digest, str) else ""
    return NamedCurve(where, curve, known, notices, label=Path(where).stem)


def _of_runs(files: Sequence[Path], where: str, metric: Metric) -> NamedCurve:
    """Return a curve with one point per evaluation, sorted by rate."""
    bpp, values, digests = [], [], {}
    every = [_json(file) for file in files]
    for file, stored in zip(files, every, strict=True):
        for key in ("bpp", metric):
            if not isinstance(stored.get(key), int | float) or isinstance(stored[key], bool):
                raise DataError(
                    f"no {key!r} in {file}",
                    expected="the evaluation of a compressor: bpp and " + metric,
                    remedy="MS-SSIM is measured of pictures of more than 160 pixels a side."
                    if key == "ms_ssim"
                    else "tunewright evaluate RUN --data DIR writes it.",
                )
        bpp.append(stored["bpp"])
        values.append(stored[metric])
        digests[str(stored.get("digest", ""))] = file
    if len(digests) > 1:
        one, other = list(digests.values())[:2]
        raise DataError(
            f"{one} and {other} were measured on different pictures",
            expected="points of one set of pictures",
            where=where,
            remedy="tunewright evaluate RUN --data DIR with the same DIR for each.",
        )
    if len(files) < 2:
        raise DataError(
            f"{where} is one point" if files else f"no {EVALUATION} in {where}",
            expected="a folder or a pattern of two or more evaluated runs, such as 'runs/hpcm-*'",
            remedy="tunewright evaluate RUN --data DIR writes a run's point.",
        )
    named = _curve(where, bpp, values, metric, digest=next(iter(digests)), ordered=False)
    models = " and ".join(sorted({str(one["model"]) for one in every if "model" in one}))
    return replace(
        named,
        label=f"{models}, {len(files)} runs" if models else named.label,
        beside=tuple(reference_curves(every[0], metric)),
    )


def matching_paths(pattern: Path) -> list[Path]:
    """Return the paths that match a pattern; none where it has no wildcard."""
    if not any(sign in str(pattern) for sign in "*?["):
        return []
    root = Path(pattern.anchor)
    return sorted(root.glob(str(pattern.relative_to(root) if pattern.anchor else pattern)))


def _evaluations(path: Path) -> list[Path]:
    """Return the evaluations of a file, a run, or the runs in a folder."""
    if path.is_file():
        return [path]
    if (path / EVALUATION).is_file():
        return [path / EVALUATION]
    return sorted({*path.glob(f"*/{EVALUATION}"), *path.glob(f"*/final/{EVALUATION}")})


def _classical(file: Path, codec: str, metric: Metric) -> NamedCurve:
    stored = _json(file)
    there = stored.get("classical")
    found = there.get(codec) if isinstance(there, Mapping) else None
    if not isinstance(found, Mapping):
        known = ", ".join(there) if isinstance(there, Mapping) else "none"
        raise DataError(f"no codec {codec!r} in {file}", expected=f"one that it measured: {known}")
    lists = {**found, "digest": stored.get("digest")}
    return replace(_of_lists(lists, f"{file}:{codec}", metric), label=SHOWN.get(codec, codec))


def _json(file: Path) -> dict[str, Any]:
    try:
        value = parse_json(read_regular(file).decode())
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is not readable as JSON ({error})", expected=EXPECTED) from None
    if not isinstance(value, dict):
        raise DataError(f"{file} holds no JSON object", expected=EXPECTED)
    return value
