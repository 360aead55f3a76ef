"""Bounds of a part of a domain: rounded outwards, on its scale and its steps."""

import math

from tunewright.analysis.findings.trial_table import ParameterColumn
from tunewright.spaces.domain import Categorical, Domain, Float, Int, as_written

DIGITS = 2
NEAR = 1e-9
"""Part of a step by which rounding may be off."""


def part_of(column: ParameterColumn, low: float, high: float) -> Domain:
    """Return the part of a numeric domain between two places from 0 to 1, and a little more."""
    domain = column.domain
    assert not isinstance(domain, Categorical)
    if low <= 0.0 and high >= 1.0:
        return domain
    first = domain.low if low <= 0.0 else max(domain.low, _outwards(column.value(low), up=False))
    last = domain.high if high >= 1.0 else min(domain.high, _outwards(column.value(high), up=True))
    return between(domain, first, last)


def between(domain: Float | Int, low: float, high: float) -> Float | Int:
    """Return a domain from `low` to `high` on the scale and the steps of another.

    Within the other domain an end moves outwards to the next step; beyond it inwards, since nothing
    may lie further out.
    """
    if not domain.step or (isinstance(domain, Float) and domain.log):
        return Float(float(low), float(high), domain.log)
    first, last = (low - domain.low) / domain.step, (high - domain.low) / domain.step
    whole = math.floor((domain.high - domain.low) / domain.step + NEAR)
    down = math.floor(first + NEAR) if first >= 0 else math.ceil(first - NEAR)
    up = math.ceil(last - NEAR) if last <= whole + NEAR else math.floor(last + NEAR)
    ends = [domain.low + place * domain.step for place in (down, max(down, up))]
    if isinstance(domain, Int):
        return Int(int(ends[0]), int(ends[1]), domain.log, domain.step)
    return Float(as_written(ends[0]), as_written(ends[1]), False, domain.step)


def _outwards(number: float, *, up: bool) -> float:
    """Return a number with two significant digits, not smaller (`up`) or not larger."""
    if number == 0.0 or not math.isfinite(number):
        return number
    unit = 10.0 ** (math.floor(math.log10(abs(number))) + 1 - DIGITS)
    places = number / unit
    rounded = math.ceil(places - 1e-9) if up else math.floor(places + 1e-9)
    return float(f"{rounded * unit:.12g}")
