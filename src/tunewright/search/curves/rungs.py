"""Rungs: the steps at which trials are paused until it is known whether they go on."""

import math

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


def default_first_rung(last_step: int) -> int:
    """Return a sixteenth of a training, rounded, and at least one step."""
    return max(1, math.floor(last_step / 16 + 0.5))
