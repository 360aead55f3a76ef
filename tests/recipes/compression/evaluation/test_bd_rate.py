"""Bjøntegaard deltas against values that other programs computed, and as properties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

from tunewright.recipes.compression.evaluation.bd_rate import METHODS, Method, bjontegaard
from tunewright.recipes.compression.evaluation.published_curves import find_published
from tunewright.recipes.compression.evaluation.rate_curve import RateCurve

ORACLE: dict[Method, tuple[float, float]] = {
    "cubic": (-4.354960849295519, 0.18964672539),  # a polynomial of degree 3, numpy
    "pchip": (-4.2648734062045275, 0.18617929184),  # bjontegaard 1.3.0
    "akima": (-4.27339543560713, 0.18626942088),
}


def of(name: str) -> RateCurve:
    found = find_published(name)
    return RateCurve(found.bpp, found.psnr)


BASE = of("hpcm-base@kodak")


@pytest.mark.parametrize("method", METHODS)
def test_hpcm_large_beside_base_on_kodak(method: Method) -> None:
    found = bjontegaard(BASE, of("hpcm-large@kodak"), method=method)
    rate, psnr = ORACLE[method]
    assert found.bd_rate == pytest.approx(rate, abs=1e-8)
    assert found.bd_psnr == pytest.approx(psnr, abs=1e-8)
    assert found.notices == ()
    assert found.overlap is not None
    assert (found.overlap.low, found.overlap.high) == (29.4022, 37.748)
    assert 0.9 < found.overlap.share < 1.0


@pytest.mark.parametrize(("data", "rate"), [("clic", -4.8076), ("tecnick", -4.8624)])
def test_the_other_sets_by_the_cubic(data: str, rate: float) -> None:
    found = bjontegaard(of(f"hpcm-base@{data}"), of(f"hpcm-large@{data}"), method="cubic")
    assert found.bd_rate == pytest.approx(rate, abs=5e-5)


@st.composite
def curves(draw: st.DrawFn) -> RateCurve:
    count = draw(st.integers(3, 7))
    steps = st.floats(0.2, 2.0)
    rates = [draw(st.floats(0.05, 0.5))]
    qualities = [draw(st.floats(27.0, 31.0))]
    for _ in range(count - 1):
        rates.append(rates[-1] * (1.0 + draw(steps)))
        qualities.append(qualities[-1] + draw(steps))
    return RateCurve(tuple(rates), tuple(qualities))


@settings(max_examples=30)
@given(curves(), st.floats(0.5, 2.0), st.sampled_from(METHODS))
def test_rates_times_a_factor_are_that_much_more(
    curve: RateCurve, factor: float, method: Method
) -> None:
    more = RateCurve(tuple(factor * rate for rate in curve.bpp), curve.quality)
    found = bjontegaard(curve, more, method=method)
    assert found.bd_rate == pytest.approx(100.0 * (factor - 1.0), abs=1e-6)
    assert found.overlap is not None
    assert found.overlap.share == 1.0


@settings(max_examples=30)
@given(curves(), curves(), st.sampled_from(METHODS))
def test_the_other_way_round_it_is_the_inverse(
    one: RateCurve, other: RateCurve, method: Method
) -> None:
    there, back = (bjontegaard(*pair, method=method) for pair in ((one, other), (other, one)))
    if there.overlap is None:
        assert math.isnan(there.bd_rate)
        assert math.isnan(back.bd_rate)
        return
    product = (1.0 + there.bd_rate / 100.0) * (1.0 + back.bd_rate / 100.0)
    assert product == pytest.approx(1.0, rel=1e-6)
    if math.isfinite(there.bd_psnr):
        assert there.bd_psnr == pytest.approx(-back.bd_psnr, abs=1e-9)


def test_curves_that_do_not_overlap_have_no_delta() -> None:
    above = RateCurve(BASE.bpp, tuple(value + 20.0 for value in BASE.quality))
    found = bjontegaard(BASE, above)
    assert math.isnan(found.bd_rate)
    assert found.bd_psnr == pytest.approx(20.0)
    assert found.overlap is None
    assert "no overlap" in found.notices[0]
    dearer = RateCurve(tuple(rate * 100.0 for rate in BASE.bpp), BASE.quality)
    found = bjontegaard(BASE, dearer)
    assert found.bd_rate == pytest.approx(9900.0)
    assert math.isnan(found.bd_psnr)
    assert "no BD-PSNR" in found.notices[0]


def test_what_the_numbers_must_be_read_with() -> None:
    few = RateCurve((0.1, 0.2, 0.4), (29.0, 31.0, 33.0))
    assert "test: 3 points; fewer than 4" in bjontegaard(BASE, few).notices[0]
    assert "a polynomial of degree 2" in bjontegaard(BASE, few, method="cubic").notices[0]
    dented = RateCurve((0.1, 0.2, 0.3, 0.4), (30.0, 32.0, 31.5, 36.0))
    [notice] = bjontegaard(BASE, dented).notices
    assert notice == "test: not monotone, its quality falls from 0.2 to 0.3 bpp"
    short = RateCurve((0.1, 0.15, 0.2, 0.25), (29.5, 30.0, 30.5, 31.0))
    [notice] = bjontegaard(BASE, short).notices
    assert "18% of their range" in notice


FLAT = RateCurve((0.1, 0.25, 0.5, 0.9), (30.0, 37.5, 38.1, 38.2))
OTHER = RateCurve((0.11, 0.26, 0.48, 0.95), (31.0, 37.7, 38.15, 38.22))


def test_a_fitted_curve_that_swings_is_said() -> None:
    found = bjontegaard(FLAT, OTHER, method="cubic")
    assert abs(found.bd_rate) > 1000  # pchip: about -4 %
    swings = [notice for notice in found.notices if "not monotone between its points" in notice]
    assert any(notice.startswith("anchor: the cubic curve behind the BD-rate") for notice in swings)
    assert any(notice.startswith("test: the cubic curve behind the BD-PSNR") for notice in swings)
    assert bjontegaard(FLAT, OTHER, method="pchip").notices == ()


def test_a_curve_that_falls_all_over_the_common_part_swings_too() -> None:
    """Its derivative changes its sign outside of what is compared."""
    narrow = RateCurve((0.2, 0.22), (36.0, 37.0))
    [few, short, rate, *_] = bjontegaard(FLAT, narrow, method="cubic").notices
    assert "2 points" in few
    assert "of their range" in short
    assert "falls from 36.00 to 37.00 dB" in rate


def test_akima_may_swing_too() -> None:
    bent = RateCurve((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), (30.0, 30.4, 30.5, 37.0, 37.1, 37.5))
    [first, *_] = bjontegaard(BASE, bent, method="akima").notices
    assert first.startswith("test: the akima curve behind the BD-rate")
    steady = bjontegaard(BASE, bent, method="pchip")
    assert first.endswith(f"pchip, which does not overshoot, gives {steady.bd_rate:+.3f} %")
    assert steady.notices == ()


@settings(max_examples=60)
@given(curves(), curves(), st.sampled_from(METHODS))
def test_a_swing_is_said_if_and_only_if_the_fitted_curve_turns(
    one: RateCurve, other: RateCurve, method: Method
) -> None:
    """Against a fit of our own, looked at closely, for the rate over the quality."""
    found = bjontegaard(one, other, method=method)
    if found.overlap is None:
        return
    x = np.linspace(found.overlap.low, found.overlap.high, 4001)
    for name, curve in (("anchor", one), ("test", other)):
        rates = np.log(curve.bpp)
        if method == "cubic":
            y = np.polyval(np.polyfit(curve.quality, rates, min(3, len(rates) - 1)), x)
        else:
            y = (Akima1DInterpolator if method == "akima" else PchipInterpolator)(
                curve.quality, rates
            )(x)
        back = np.diff(y).clip(max=0).sum() / np.abs(np.diff(y)).sum()
        start = f"{name}: the {method} curve behind the BD-rate is not monotone"
        said = any(notice.startswith(start) for notice in found.notices)
        if not -1e-4 < back < -1e-12:  # between them, the grid and rounding decide
            assert said == (back < 0)


@pytest.mark.parametrize("method", METHODS)
def test_two_points_are_a_line(method: Method) -> None:
    line = RateCurve((0.1, 0.4), (30.0, 34.0))
    found = bjontegaard(line, RateCurve((0.11, 0.44), (30.0, 34.0)), method=method)
    assert found.bd_rate == pytest.approx(10.0)
