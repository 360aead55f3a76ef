"""Compute the average distance of two rate-distortion curves: BD-rate and BD-PSNR."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator, PPoly

from tunewright.recipes.compression.evaluation.rate_curve import RateCurve

Method = Literal["akima", "pchip", "cubic"]
METHODS: tuple[Method, ...] = ("akima", "pchip", "cubic")
Points = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""x and y of `anchor` and `test`."""
FEW = 4
"""Curves with fewer points get a notice: their shape is mostly a guess."""
NARROW = 0.5
"""Curves that share less of their quality range get a notice."""
ROUNDING = 1e-9
"""Share of a curve's total variation that it may fall without a notice."""


@dataclass(frozen=True)
class Overlap:
    """The qualities that both curves reach, in decibels; share: of what either reaches."""

    low: float
    high: float
    share: float


@dataclass(frozen=True)
class Bjontegaard:
    """How the tested curve differs from its anchor.

    bd_rate: additional bits at equal quality, in percent; negative values save bits.
    bd_psnr: additional quality at equal rate, in decibels. Each is NaN where the curves do not
    overlap. notices: caveats for the two numbers.
    """

    bd_rate: float
    bd_psnr: float
    method: Method
    overlap: Overlap | None
    notices: tuple[str, ...]


def bjontegaard(anchor: RateCurve, test: RateCurve, *, method: Method = "akima") -> Bjontegaard:
    """Compare two curves over their common range; nothing is extrapolated.

    method: how a curve is interpolated: `akima` and `pchip` piecewise, through each point; `cubic`
    by a polynomial of degree 3, fitted by least squares to more than four points. If such a curve
    falls between points that rise, the number may be meaningless, and `notices` say so.
    BD-rate is 100 (exp(mean over quality of ln R_test - ln R_anchor) - 1);
    BD-PSNR the mean over ln R of the difference in quality. Source: Bjøntegaard, VCEG-M33, 2001
    (cubic); Herglotz et al., ICIP 2022 (akima).
    """
    curves = {"anchor": anchor, "test": test}
    notices = [notice for name, curve in curves.items() for notice in _of_one(name, curve, method)]
    qualities = _common(anchor.quality, test.quality)
    rates = _common(_logarithms(anchor), _logarithms(test))
    bd_rate = bd_psnr = math.nan
    overlap = None
    if qualities is None:
        notices.append(
            f"no overlap: the anchor reaches {_range(anchor.quality)} dB, the test "
            f"{_range(test.quality)} dB; no quality is reached by both, so there is no BD-rate"
        )
    else:
        low, high = qualities
        both = (*anchor.quality, *test.quality)
        overlap = Overlap(low, high, (high - low) / (max(both) - min(both)))
        if overlap.share < NARROW:
            notices.append(
                f"the curves have {overlap.share:.0%} of their range of quality in common, "
                f"{low:.2f} to {high:.2f} dB: the BD-rate covers only this part"
            )
        by_quality = {n: (curve.quality, _logarithms(curve)) for n, curve in curves.items()}
        bd_rate = _in_percent(_difference(by_quality, low, high, method))
        if falls := _falling(curves, by_quality, low, high, method):
            steady = _in_percent(_difference(by_quality, low, high, "pchip"))
            ranges = {n: [f"{a:.2f} to {b:.2f} dB" for a, b in at] for n, at in falls.items()}
            notices += _swings("BD-rate", method, ranges, f"{steady:+.3f} %")
    if rates is None:
        notices.append(
            f"no overlap: the anchor has {_range(anchor.bpp)} bpp, the test {_range(test.bpp)} "
            "bpp; no rate is common to both, so there is no BD-PSNR"
        )
    else:
        by_rate = {n: (_logarithms(curve), curve.quality) for n, curve in curves.items()}
        bd_psnr = _difference(by_rate, *rates, method)
        if falls := _falling(curves, by_rate, *rates, method):
            steady = _difference(by_rate, *rates, "pchip")
            ranges = {
                n: [f"{math.exp(a):.4g} to {math.exp(b):.4g} bpp" for a, b in at]
                for n, at in falls.items()
            }
            notices += _swings("BD-PSNR", method, ranges, f"{steady:+.4f} dB")
    return Bjontegaard(bd_rate, bd_psnr, method, overlap, tuple(notices))


def bd_rate_alone(anchor: RateCurve, test: RateCurve, *, method: Method) -> float:
    """Return the BD-rate in percent, NaN without a common range: one draw of a bootstrap."""
    common = _common(anchor.quality, test.quality)
    if common is None:
        return math.nan
    points = {n: (c.quality, _logarithms(c)) for n, c in (("anchor", anchor), ("test", test))}
    return _in_percent(_difference(points, *common, method))


def _of_one(name: str, curve: RateCurve, method: Method) -> list[str]:
    """Return notices about one curve: few points, falling quality."""
    notices = []
    if len(curve.bpp) < FEW:
        drawn = f", a polynomial of degree {len(curve.bpp) - 1}" if method == "cubic" else ""
        notices.append(
            f"{name}: {len(curve.bpp)} points{drawn}; fewer than {FEW} do not determine the curve "
            "between them"
        )
    notices += [
        f"{name}: not monotone, its quality falls from {low:g} to {high:g} bpp"
        for low, high in curve.falls()
    ]
    return notices


def _logarithms(curve: RateCurve) -> tuple[float, ...]:
    return tuple(math.log(rate) for rate in curve.bpp)


def _common(one: Sequence[float], other: Sequence[float]) -> tuple[float, float] | None:
    low, high = max(min(one), min(other)), min(max(one), max(other))
    return (low, high) if low < high else None


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.4g} to {max(values):.4g}"


def _swings(
    figure: str, method: Method, falls: Mapping[str, Sequence[str]], steady: str
) -> list[str]:
    """Return notices about interpolated curves that fall although their points rise."""
    return [
        f"{name}: the {method} curve behind the {figure} is not monotone between its points, it "
        f"falls from {' and from '.join(places)}: the number may be meaningless; pchip, which does "
        f"not overshoot, gives {steady}"
        for name, places in falls.items()
    ]


def _in_percent(logarithm: float) -> float:
    return 100.0 * math.expm1(logarithm)


def _fit(x: Sequence[float], y: Sequence[float], method: Method) -> PPoly:
    """Fit a curve of y over x through the points or, with `cubic`, near them."""
    order = np.argsort(x)
    along, of = np.asarray(x, float)[order], np.asarray(y, float)[order]
    if method == "cubic":
        # Fitted on x scaled to -1..1, which is numerically stable; the curve is the same.
        cubic = np.polynomial.Polynomial.fit(along, of, min(3, len(along) - 1))
        powers = [cubic.deriv(k)(along[0]) / math.factorial(k) for k in range(cubic.degree() + 1)]
        return PPoly(np.array(powers[::-1])[:, None], along[[0, -1]])
    # Akima's slopes need two neighbours on each side, made up from three points at least.
    kind = Akima1DInterpolator if method == "akima" and len(along) > 2 else PchipInterpolator
    return kind(along, of)


def _difference(points: Points, low: float, high: float, method: Method) -> float:
    """Return the mean of y_test - y_anchor over x from low to high."""
    test, anchor = (
        float(_fit(*points[name], method).integrate(low, high)) / (high - low)
        for name in ("test", "anchor")
    )
    return test - anchor


def _falling(
    curves: Mapping[str, RateCurve], points: Points, low: float, high: float, method: Method
) -> dict[str, list[tuple[float, float]]]:
    """Return where fitted curves fall, for curves whose points never do."""
    falls = {
        name: _falls(_fit(*points[name], method), low, high)
        for name, curve in curves.items()
        if not curve.falls()
    }
    return {name: found for name, found in falls.items() if found}


def _falls(fitted: PPoly, low: float, high: float) -> list[tuple[float, float]]:
    """Return the intervals from low to high in which a curve falls."""
    level = fitted.derivative().roots(extrapolate=False)
    places = [low, *sorted(float(at) for at in level if low < at < high), high]
    steps = np.diff(fitted(places))
    down = np.flatnonzero(steps < -ROUNDING * np.abs(steps).sum())
    return [(places[index], places[index + 1]) for index in down]
