"""Rungs: the steps at which trials are paused until it is known whether they go on."""

import math
from collections.abc import Sequence

from tunewright.config.study_schema import CurvesConfig

FACTOR = 4
"""One trial of so many goes on at each rung."""
LAST_SHARE = 0.8
"""Of a training; there is no rung behind it, since the end is near."""


def rung_steps(last_step: int, first: int) -> tuple[int, ...]:
    """Return the steps of the rungs, rising; the last one is `last_step`.

    >>> rung_steps(52, 3)
    (3, 12, 52)
    """
    steps, step = [], first
    while step < LAST_SHARE * last_step:
        steps.append(step)
        step *= FACTOR
    return (*steps, last_step)


def rungs_of(sampler: CurvesConfig, last_step: int) -> tuple[int, ...]:
    """Return the rungs of a study; the first one is a sixteenth of a training, rounded, or given.

    >>> rungs_of(CurvesConfig(), 52)
    (3, 12, 52)
    """
    return rung_steps(last_step, sampler.first_rung or max(1, math.floor(last_step / 16 + 0.5)))


def assumed_pauses(rungs: Sequence[int]) -> dict[int, float]:
    """Return the share of the trials that wait at each rung for good, for forecasts."""
    return dict.fromkeys(rungs[:-1], 1.0 - 1.0 / FACTOR)
