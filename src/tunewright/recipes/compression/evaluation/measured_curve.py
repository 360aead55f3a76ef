"""A curve with the figures of every picture, and the interval of its BD-rate over pictures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np

from tunewright.analysis.score_intervals import RESAMPLES, Interval, has_no_width, percentiles
from tunewright.errors import DataError
from tunewright.recipes.compression.evaluation.bd_rate import Method, bd_rate_alone
from tunewright.recipes.compression.evaluation.rate_curve import RateCurve, decibels, rate_curve

Metric = Literal["psnr", "ms_ssim"]
LOST = 0.05
"""Share of the resamples without a common range up to which an interval is given."""
ABOVE = 0.02
"""Share by which the real rate may exceed the estimated one without a notice."""
LARGEST = 1.0 - 1e-10
"""MS-SSIM that is still expressed in decibels."""


@dataclass(frozen=True)
class CurvePoint:
    """One run, or a codec at one quality: figures of each picture, in one order for all points.

    label: which. ms_ssim: None unless every picture has one. estimated: bits per pixel as the
    training estimates them; None for a codec without a model.
    """

    label: str
    bpp: tuple[float, ...]
    psnr: tuple[float, ...]
    ms_ssim: tuple[float, ...] | None = None
    estimated: tuple[float, ...] | None = None

    def quality(self, metric: Metric) -> tuple[float, ...] | None:
        """Return the metric of each picture."""
        return self.psnr if metric == "psnr" else self.ms_ssim


@dataclass(frozen=True)
class MeasuredCurve:
    """A codec on one set of pictures. kind: our run, or a classical codec. settings: of a codec."""

    name: str
    kind: Literal["run", "classical"]
    points: tuple[CurvePoint, ...]
    settings: str = ""

    def means(
        self, metric: Metric, picks: Sequence[int] | None = None
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return rates and qualities in decibels by rising rate, means over pictures.

        picks: indices of the pictures, some more than once; None for each once. Of two points with
        an equal rate or quality, as tiny pictures give, only the first is kept.
        """
        rows: list[tuple[float, float]] = []
        for point in self.points:
            values = point.quality(metric)
            if values is None:
                continue
            chosen = range(len(values)) if picks is None else picks
            quality = fmean(values[i] for i in chosen)
            if metric == "ms_ssim":
                quality = decibels(min(quality, LARGEST))
            rows.append((fmean(point.bpp[i] for i in chosen), quality))
        kept: list[tuple[float, float]] = []
        for row in sorted(rows):
            if all(row[0] != old[0] and row[1] != old[1] for old in kept):
                kept.append(row)
        return tuple(rate for rate, _ in kept), tuple(quality for _, quality in kept)

    def curve(self, metric: Metric, picks: Sequence[int] | None = None) -> RateCurve | None:
        """Return the curve of the means; None for fewer than two points."""
        rates, qualities = self.means(metric, picks)
        try:
            return rate_curve(rates, qualities)
        except DataError:
            return None

    def above_estimate(self) -> list[str]:
        """Return a notice for each point whose real rate exceeds the estimated one by over 2 %."""
        found = []
        for point in self.points:
            if point.estimated is not None:
                share = fmean(point.bpp) / fmean(point.estimated) - 1.0
                if share > ABOVE:
                    found.append(
                        f"{self.name}, {point.label}: the files take {share:.1%} more bits than "
                        "the model estimates"
                    )
        return found


def bd_rate_interval(
    anchor: MeasuredCurve, test: MeasuredCurve, *, metric: Metric, method: Method
) -> tuple[Interval | None, str]:
    """Return the 95 % percentile interval of a BD-rate, in percent, and why there is none.

    The bootstrap draws pictures, the same ones for both curves, since both were measured on them;
    it says what other pictures of this kind would give, not what another training would. Source:
    Efron & Tibshirani 1993, section 13.3.
    """
    count = len(test.points[0].bpp)
    if count < 2:
        return None, "one picture has no interval"
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(RESAMPLES):
        picks = [int(pick) for pick in rng.integers(0, count, count)]
        curves = anchor.curve(metric, picks), test.curve(metric, picks)
        if curves[0] is None or curves[1] is None:
            continue
        rate = bd_rate_alone(curves[0], curves[1], method=method)
        if math.isfinite(rate):
            rates.append(rate)
    if len(rates) < (1.0 - LOST) * RESAMPLES:
        lost = RESAMPLES - len(rates)
        return None, f"{lost} of {RESAMPLES} draws of pictures leave the curves without overlap"
    interval = percentiles(np.asarray(rates))
    if has_no_width(interval):
        return None, "all pictures give the same difference"
    return interval, ""
