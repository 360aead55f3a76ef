"""A schedule."""

import math


def restarts(step, steps, /, *, cycles=2, final_fraction=0.0):
    """Half a cosine, several times (Loshchilov & Hutter 2017)."""
    done = min(step / steps, 1.0) * cycles % 1.0
    return final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * done)) / 2
