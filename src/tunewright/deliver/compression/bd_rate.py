"""`tunewright bd-rate`: BD-rate and BD-PSNR of two rate-distortion curves."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.deliver.compression.rate_curves import METRICS, Metric, NamedCurve, find_curve
from tunewright.errors import UsageError, did_you_mean
from tunewright.recipes.compression.evaluation.bd_rate import METHODS, Method, Overlap, bjontegaard
from tunewright.reports.rate_distortion import (
    MS_SSIM,
    PSNR,
    PlotCurve,
    rate_distortion_svg,
    write_rate_distortion,
)
from tunewright.result import Result, to_json
from tunewright.runs.atomic import NAMED, write_text

PLOTS = (".html", ".svg")


@dataclass(frozen=True)
class BdRate(Result):
    """The result of `recipes.compression.evaluation.bd_rate.bjontegaard` for two named curves.

    bd_rate: percent; bd_psnr: decibels, of the metric, whatever it is; NaN where they are not
    known. metric: what was compared, MS-SSIM in decibels. plot: the file that both are drawn in.
    """

    anchor: NamedCurve
    test: NamedCurve
    metric: Metric
    method: Method
    bd_rate: float
    bd_psnr: float
    overlap: Overlap | None
    notices: tuple[str, ...]
    plot: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """Return both numbers, None for one that is not known, how they came about, the curves."""
        return {
            "bd_rate": self.bd_rate if math.isfinite(self.bd_rate) else None,
            "bd_psnr": self.bd_psnr if math.isfinite(self.bd_psnr) else None,
            "method": self.method,
            "metric": self.metric,
            "overlap": to_json(self.overlap),
            "notices": list(self.notices),
            "anchor": {"name": self.anchor.name, **to_json(self.anchor.curve)},
            "test": {"name": self.test.name, **to_json(self.test.curve)},
        }


def bd_rate(
    anchor: Path | str | Mapping[str, Any],
    test: Path | str | Mapping[str, Any],
    *,
    method: str = "akima",
    metric: str = "psnr",
    plot: Path | None = None,
    runs: Path = Path("runs"),
) -> BdRate:
    """Compare a curve with its anchor; see `find_curve` for what names one.

    plot: an HTML or SVG file for both curves, with the codecs that evaluations measured beside
    them. Raises UsageError for an unknown method, metric or kind of file, DataError for what is
    no curve.
    """
    if plot is not None and plot.suffix not in PLOTS:
        raise UsageError(f"--plot {plot}", expected=f"a file that ends in {' or '.join(PLOTS)}")
    how = next((known for known in METHODS if known == method), None)
    what = next((known for known in METRICS if known == metric), None)
    if how is None:
        raise UsageError(
            f"--method {method}",
            expected=f"one of {', '.join(METHODS)}",
            remedy=did_you_mean(method, METHODS),
        )
    if what is None:
        raise UsageError(
            f"--metric {metric}",
            expected=f"one of {', '.join(METRICS)}",
            remedy=did_you_mean(metric, METRICS),
        )
    of_anchor, of_test = (find_curve(source, metric=what, runs=runs) for source in (anchor, test))
    found = bjontegaard(of_anchor.curve, of_test.curve, method=how)
    notices = [*of_anchor.notices, *of_test.notices, *found.notices]
    if of_anchor.digest and of_test.digest and of_anchor.digest != of_test.digest:
        notices.append(
            "the curves were measured on different pictures: part of the difference may be due "
            "to them"
        )
    if plot is not None:
        _draw(of_anchor, of_test, what, plot)
    return BdRate(
        of_anchor,
        of_test,
        what,
        how,
        found.bd_rate,
        found.bd_psnr,
        found.overlap,
        tuple(dict.fromkeys(notices)),  # both sides may have one source
        plot,
    )


def _draw(anchor: NamedCurve, test: NamedCurve, metric: Metric, file: Path) -> None:
    own = [PlotCurve(named.label, named.curve.bpp, named.curve.quality) for named in (test, anchor)]
    beside = {line.name: line for named in (anchor, test) for line in named.beside}
    lines = [
        *own,
        *(line for name, line in beside.items() if name not in (one.name for one in own)),
    ]
    axis = PSNR if metric == "psnr" else MS_SSIM
    title = f"{test.label} beside {anchor.label}"
    if file.suffix == ".svg":
        write_text(file, rate_distortion_svg(lines, axis=axis, title=title), remedy=NAMED)
    else:
        write_rate_distortion([(axis, lines)], file, title=title)
