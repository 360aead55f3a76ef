"""How far a score may be from the truth, given its bootstrap. Imports without torch.

Where all units score alike, every resample is the same, and a bootstrap would claim certainty: the
percentiles then have no width. Wilson's interval takes their place, which asks what share of the
units might score otherwise though none of those seen did.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]
"""(low, high)."""

RESAMPLES = 1000
LEVEL = 0.95
ROUNDING = 1e-12
"""A width up to this one is none."""


def wilson(hits: int, rows: int, *, level: float = LEVEL) -> Interval:
    """The score interval (low, high) of a proportion; (0, 1) for no rows.

    Unlike p +- z SE it stays within 0 to 1 and has a width where all or none are hits.
    Source: Wilson 1927; Brown, Cai and DasGupta 2001.
    """
    if rows == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, pull = hits / rows, z * z / rows
    centre = (share + pull / 2) / (1 + pull)
    half = z / (1 + pull) * math.sqrt(share * (1 - share) / rows + pull / (4 * rows))
    # The ends are 0 and 1 exactly where all or none are hits; rounding must not cross them.
    low = 0.0 if hits == 0 else centre - half
    high = 1.0 if hits == rows else centre + half
    return low, high


def percentiles(draws: Floats, *, level: float = LEVEL) -> Interval:
    """The middle `level` of a score's bootstrap draws [resamples].

    Source: Efron and Tibshirani 1993, section 13.3.
    """
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def without_width(interval: Interval) -> bool:
    """Whether the resamples of a bootstrap were all the same."""
    return interval[1] - interval[0] <= ROUNDING


def wilson_without_spread(
    value: float,
    units: Iterable[int],
    *,
    lowest: float = 0.0,
    highest: float = 1.0,
    level: float = LEVEL,
) -> Interval:
    """Wilson's interval of a mean in `lowest` to `highest` over units that all scored alike.

    units: how many independent ones there are (images, not their captions): one number, or one a
    class for a score that is the mean over classes. For a proportion of 0 or 1 this is `wilson`;
    a difference that is 0 for every unit gets the share that may differ, to either side.
    """
    shares = [wilson(0, count, level=level)[1] for count in units]
    unseen = sum(shares) / len(shares)
    return (
        value - unseen * (value - lowest),
        value + unseen * (highest - value),
    )


def is_wilsons(score: Any, interval: Sequence[float]) -> bool:
    """Whether an interval is Wilson's: it alone ends at its score, for that lies at its bound."""
    return score in tuple(interval) and interval[0] < interval[1]


def interval_methods(
    scores: Mapping[str, float], intervals: Mapping[str, Sequence[float]]
) -> dict[str, str]:
    """`wilson` or `bootstrap` for each score that has an interval."""
    return {
        name: "wilson" if is_wilsons(scores[name], ends) else "bootstrap"
        for name, ends in intervals.items()
    }


def wilson_notes(methods: Mapping[str, str]) -> list[str]:
    """What is to be said of intervals that are no bootstraps; takes `interval_methods`."""
    names = ", ".join(name for name, method in methods.items() if method == "wilson")
    if not names:
        return []
    return [
        f"the interval of {names} is Wilson's: all that were counted scored alike, where a "
        "bootstrap has no width"
    ]


def describe_paired(gain: Mapping[str, Any]) -> str:
    """How the interval of a difference with a `method` is told."""
    return "paired, Wilson's" if gain.get("method") == "wilson" else "paired"
