"""The bootstrap interval of a BD-rate over pictures."""

import numpy as np
import pytest

from tunewright.recipes.compression.evaluation.bd_rate import bd_rate_alone, bjontegaard
from tunewright.recipes.compression.evaluation.measured_curve import (
    CurvePoint,
    MeasuredCurve,
    bd_rate_interval,
)


def curve(name: str, factors: np.ndarray, *, shift: float = 0.0) -> MeasuredCurve:
    """Four points of as many pictures as there are factors, which multiply their rates."""
    points = []
    for rate, psnr in zip((0.1, 0.2, 0.4, 0.8), (28.0, 30.0, 32.5, 35.0), strict=True):
        bpp = tuple(float(rate * factor) for factor in factors)
        points.append(CurvePoint(f"{rate}", bpp, tuple(psnr + shift for _ in factors)))
    return MeasuredCurve(name, "run", tuple(points))


def test_the_interval_holds_the_value_and_narrows_with_pictures() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for count in (8, 128):
        anchor = curve("anchor", np.ones(count))
        test = curve("test", rng.normal(0.9, 0.1, count))
        interval, why = bd_rate_interval(anchor, test, metric="psnr", method="akima")
        assert why == ""
        assert interval is not None
        value = bjontegaard(anchor.curve("psnr"), test.curve("psnr")).bd_rate  # type: ignore[arg-type]
        assert interval[0] < value < interval[1]
        widths.append(interval[1] - interval[0])
    assert widths[1] < widths[0] / 2


def test_the_same_pictures_are_drawn_for_both() -> None:
    """Rates that differ much between pictures, but by 10 % between codecs, leave no doubt."""
    factors = np.random.default_rng(1).uniform(0.2, 5.0, 16)
    interval, _ = bd_rate_interval(
        curve("anchor", factors),
        curve("test", 1.1 * factors * np.linspace(0.999, 1.001, 16)),
        metric="psnr",
        method="akima",
    )
    assert interval == pytest.approx((10.0, 10.0), abs=0.2)


def test_one_picture_and_no_overlap() -> None:
    one = curve("a", np.ones(1))
    assert bd_rate_interval(one, one, metric="psnr", method="akima")[0] is None
    far = curve("b", np.ones(4), shift=20.0)
    interval, why = bd_rate_interval(curve("a", np.ones(4)), far, metric="psnr", method="akima")
    assert interval is None
    assert "1000 of 1000 draws" in why


def test_alone_is_the_whole_ones_number() -> None:
    anchor, test = (curve("x", np.full(2, f)).curve("psnr") for f in (1.0, 0.83))
    assert anchor is not None
    assert test is not None
    assert bd_rate_alone(anchor, test, method="pchip") == pytest.approx(
        bjontegaard(anchor, test, method="pchip").bd_rate
    )


def test_files_above_their_estimates_are_noticed() -> None:
    point = CurvePoint("lambda 0.013", (0.5, 0.7), (30.0, 31.0), None, (0.5, 0.6))
    found = MeasuredCurve("ours", "run", (point,)).above_estimate()
    assert found == ["ours, lambda 0.013: the files take 9.1% more bits than the model estimates"]
