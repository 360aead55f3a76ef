"""Gamma of each of HPCM's scales over the training; imports without torch."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from tunewright.recipes.compression.balance.hierarchy_config import ScaleStrategy

FINAL = 0.5
"""What linear and cosine end at, and the least of adaptive, as a factor on the first gamma."""
CALM, RESTLESS = 0.01, 0.05
"""Coefficients of variation below which adaptive lowers gamma, and above which it raises it."""
LOWER, RAISE, MOST = 0.95, 1.02, 1.5
CORNERS = (0.0, 0.1, 0.5, 5 / 6, 1.0)
"""Fractions of the training between which the factors of `hierarchical` are straight lines."""
FACTORS: Mapping[str, Sequence[float]] = {
    "s1": (1.0, 1.2, 0.9, 0.7, 0.5),
    "s2": (0.8, 0.8, 1.1, 0.8, 0.5),
    "s3": (0.6, 0.6, 1.0, 1.1, 1.3),
}
"""Coarse scales at first, fine ones at the end."""


def scale_gamma_at(gamma: float, strategy: ScaleStrategy, scale: str, fraction: float) -> float:
    """Return the gamma of a scale when `fraction` of the training, 0 to 1, is done.

    gamma: its first value. `adaptive` follows losses, not the clock: see `adapt`; here it is fixed.
    """
    match strategy:
        case "linear":
            return gamma * (1.0 - (1.0 - FINAL) * fraction)
        case "cosine":
            return gamma * (FINAL + 0.5 * (1.0 - FINAL) * (1.0 + math.cos(math.pi * fraction)))
        case "hierarchical":
            return gamma * _between_corners(FACTORS[scale], fraction)
        case _:
            return gamma


def adapt(gamma: float, first: float, losses: Sequence[float], window: int) -> float:
    """Return the gamma after `gamma` by the variation of the last `window` losses of the scale.

    first: the gamma of the first epoch; the result lies between a half and 1.5 times of it. With
    fewer losses, or such that are not finite, gamma stays.
    """
    recent = losses[-window:]
    if len(recent) < window or not all(map(math.isfinite, recent)):
        return gamma
    spread, mean = stdev(recent), abs(fmean(recent))
    if spread < CALM * mean or spread == 0.0:
        gamma *= LOWER
    elif spread > RESTLESS * mean:
        gamma *= RAISE
    return min(max(gamma, FINAL * first), MOST * first)


def _between_corners(factors: Sequence[float], fraction: float) -> float:
    right = max(1, min(bisect_left(CORNERS, fraction), len(CORNERS) - 1))
    start, end = CORNERS[right - 1], CORNERS[right]
    done = min(max((fraction - start) / (end - start), 0.0), 1.0)
    return factors[right - 1] + (factors[right] - factors[right - 1]) * done
