"""Confidence intervals of scores from their bootstrap. Imports without torch.

Where all units score alike, every resample is the same, and a bootstrap would claim certainty: the
percentiles have no width. Wilson's interval is used instead; it bounds the share of units that
might score otherwise although none observed did.
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
"""Widths up to this one count as zero."""


def wilson(hits: int, rows: int, *, level: float = LEVEL) -> Interval:
    """Return the score interval (low, high) of a proportion; (0, 1) for no rows.

    Unlike p +- z SE it stays within 0 to 1 and has a width where all or none are hits. Source:
    Wilson 1927; Brown, Cai and DasGupta 2001.
    """
    if rows == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, pull = hits / rows, z * z / rows
    centre = (share + pull / 2) / (1 + pull)
    half = z / (1 + pull) * math.sqrt(share * (1 - share) / rows + pull / (4 * rows))
    # The ends are exactly 0 and 1 where all or none are hits; rounding must not cross them.
    low = 0.0 if hits == 0 else centre - half
    high = 1.0 if hits == rows else centre + half
    return low, high


def percentiles(draws: Floats, *, level: float = LEVEL) -> Interval:
    """Return the middle `level` of a score's bootstrap draws [resamples].

    Source: Efron and Tibshirani 1993, section 13.3.
    """
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def has_no_width(interval: Interval) -> bool:
    """Return whether the resamples of a bootstrap were all the same."""
    return interval[1] - interval[0] <= ROUNDING


def wilson_without_spread(
    value: float,
    units: Iterable[int],
    *,
    lowest: float = 0.0,
    highest: float = 1.0,
    level: float = LEVEL,
) -> Interval:
    """Return Wilson's interval of a mean in `lowest` to `highest` over units that all scored alike.

    units: the number of independent ones (images, not their captions): one number, or one per class
    for a score that is the mean over classes. For a proportion of 0 or 1 this is `wilson`; for a
    difference that is 0 for every unit it is the share that may differ, to either side.
    """
    shares = [wilson(0, count, level=level)[1] for count in units]
    unseen = sum(shares) / len(shares)
    return (
        value - unseen * (value - lowest),
        value + unseen * (highest - value),
    )


def is_wilsons(score: Any, interval: Sequence[float]) -> bool:
    """Return whether an interval is Wilson's, which alone ends at its score."""
    return score in tuple(interval) and interval[0] < interval[1]


def interval_methods(
    scores: Mapping[str, float], intervals: Mapping[str, Sequence[float]]
) -> dict[str, str]:
    """Return `wilson` or `bootstrap` for each score that has an interval."""
    return {
        name: "wilson" if is_wilsons(scores[name], ends) else "bootstrap"
        for name, ends in intervals.items()
    }


def wilson_notes(methods: Mapping[str, str]) -> list[str]:
    """Return notes about intervals that are not bootstraps; takes `interval_methods`."""
    names = ", ".join(name for name, method in methods.items() if method == "wilson")
    if not names:
        return []
    return [
        (
            f"the interval of {names} is Wilson's: all units scored alike, so a bootstrap "
            "would have no width"
        )
    ]


def baseline_notes(above: Mapping[str, Mapping[str, Any]], metric: str, called: str) -> list[str]:
    """Return a note on each baseline that a score is not above.

    above: paired differences by baseline and metric. called: what the metric is called there.
    """
    notes = []
    for baseline, gains in above.items():
        gain = gains[metric]
        if gain["low"] <= 0:
            kind = "worse than" if gain["high"] < 0 else "not distinguishable from"
            notes.append(
                f"{kind} {baseline}: {called} {gain['value']:+.3f} "
                f"({gain['low']:+.3f} to {gain['high']:+.3f}, {describe_paired(gain)})"
            )
    return notes


def describe_paired(gain: Mapping[str, Any]) -> str:
    """Describe the method of the interval of a difference."""
    return "paired, Wilson's" if gain.get("method") == "wilson" else "paired"
