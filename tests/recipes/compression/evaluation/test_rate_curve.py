"""Which lists are a curve."""

import math

import pytest

from tunewright.errors import DataError
from tunewright.recipes.compression.evaluation.rate_curve import RateCurve, decibels, rate_curve


def test_points_are_kept_in_the_order_of_their_rates() -> None:
    falling = rate_curve([0.5, 0.2], [34.0, 30.0])
    assert falling == RateCurve((0.2, 0.5), (30.0, 34.0))
    assert falling.falls() == ()
    assert rate_curve([0.1, 0.2, 0.3], [30, 29, 31]).falls() == ((0.1, 0.2),)


def test_points_of_runs_may_come_in_any_order() -> None:
    assert rate_curve([0.3, 0.1, 0.2], [3, 1, 2], ordered=False).bpp == (0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("bpp", "psnr", "said"),
    [
        ([0.1, 0.2, 0.3], [30, 31], "3 values of bpp and 2 of psnr"),
        ([0.1], [30], "1 point"),
        ([], [], "0 point"),
        ([0.0, 0.2], [30, 31], r"bpp\[0\] = 0.0"),
        ([0.1, -0.2], [30, 31], r"bpp\[1\] = -0.2"),
        ([0.1, math.nan], [30, 31], r"bpp\[1\] = nan"),
        ([0.1, 0.2], [30, math.inf], r"psnr\[1\] = inf"),
        ([0.1, 0.2], [30, "31"], r"psnr\[1\] = '31'"),
        ([0.1, True], [30, 31], r"bpp\[1\] = True"),
        ([0.1, 0.1, 0.2], [30, 31, 32], r"bpp has 0.1 twice"),
        ([0.1, 0.2, 0.3], [30, 32, 32], r"psnr has 32 twice"),
        ([0.1, 0.3, 0.2], [30, 31, 32], "neither rises nor falls"),
    ],
)
def test_what_is_no_curve_is_named_with_its_file_and_key(
    bpp: list[float], psnr: list[float], said: str
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        rate_curve(bpp, psnr, where="a.json")
    assert "a.json" in str(caught.value)


def test_ms_ssim_in_decibels() -> None:
    assert decibels(0.9) == pytest.approx(10.0)
    assert decibels(0.99) == pytest.approx(20.0)
