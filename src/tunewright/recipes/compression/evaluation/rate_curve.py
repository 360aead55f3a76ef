"""A rate-distortion curve: the quality of one codec on the same pictures at several rates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tunewright.errors import DataError


@dataclass(frozen=True)
class RateCurve:
    """Points of a codec by rising rate, at least two, no rate and no quality twice.

    bpp: bits per pixel, above 0. quality: decibels, of whatever is measured; more is better.
    """

    bpp: tuple[float, ...]
    quality: tuple[float, ...]

    def falls(self) -> tuple[tuple[float, float], ...]:
        """Return the pairs of neighbouring rates between which the quality falls."""
        return tuple(
            (self.bpp[i], self.bpp[i + 1])
            for i in range(len(self.bpp) - 1)
            if self.quality[i + 1] < self.quality[i]
        )


def rate_curve(
    bpp: Sequence[float],
    quality: Sequence[float],
    *,
    where: str = "",
    key: str = "psnr",
    ordered: bool = True,
) -> RateCurve:
    """Make a curve of two lists, after checking them.

    where: the source of the lists, for errors. key: the name of the list of qualities there.
    ordered: refuse rates that neither rise nor fall throughout, which suggests that the lists do
    not belong together. Raises DataError for lists of different lengths, fewer than two points,
    values that are not finite numbers, rates of 0 or less, and values that occur twice.
    """
    for name, values in (("bpp", bpp), (key, quality)):
        for place, value in enumerate(values):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value):
                raise DataError(
                    f"{name}[{place}] = {value!r}", expected="a finite number", where=where
                )
    for place, value in enumerate(bpp):
        if value <= 0.0:
            raise DataError(
                f"bpp[{place}] = {value!r}", expected="bits per pixel, above 0", where=where
            )
    if len(bpp) != len(quality):
        raise DataError(
            f"{len(bpp)} values of bpp and {len(quality)} of {key}",
            expected="as many of each: one rate and one quality a point",
            where=where,
        )
    if len(bpp) < 2:
        raise DataError(
            f"{len(bpp)} point(s) in bpp and {key}",
            expected="a curve: two points at least, better four or more",
            where=where,
        )
    rising, falling = (list(bpp) == sorted(bpp, reverse=back) for back in (False, True))
    if ordered and not rising and not falling:
        raise DataError(
            f"bpp = {list(bpp)} neither rises nor falls throughout",
            expected="points in the order of their rates",
            where=where,
            remedy=f"Sort both lists together, so that each {key} stays with its bpp.",
        )
    for name, values in (("bpp", bpp), (key, quality)):
        twice = next((value for value in values if list(values).count(value) > 1), None)
        if twice is not None:
            raise DataError(
                f"{name} has {twice!r} twice",
                expected="points that differ in rate and in quality",
                where=where,
                remedy="Leave out one of the two points.",
            )
    points = sorted(zip(map(float, bpp), map(float, quality), strict=True))
    return RateCurve(*zip(*points, strict=True))


def decibels(ms_ssim: float) -> float:
    """Convert MS-SSIM, below 1, to decibels: -10 log10(1 - x); 0.99 is 20 dB."""
    return -10.0 * math.log10(1.0 - ms_ssim)
