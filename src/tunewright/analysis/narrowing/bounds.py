"""Bounds of a part of a domain: rounded outwards, on its scale and its steps."""

import math

from tunewright.analysis.findings.trial_table import ParameterColumn
from tunewright.spaces.domain import Categorical, Domain, Float, Int, grid_steps, on_grid

DIGITS = 2


def part_of(column: ParameterColumn, low: float, high: float) -> Domain:
    """Return the part of a numeric domain between two places from 0 to 1, and a little more."""
    domain = column.domain
    assert not isinstance(domain, Categorical)
    first = domain.low if low <= 0.0 else max(domain.low, _outwards(column.value(low), up=False))
    last = domain.high if high >= 1.0 else min(domain.high, _outwards(column.value(high), up=True))
    return between(domain, first, last)


def between(domain: Float | Int, low: float, high: float) -> Float | Int:
    """Return a domain from `low` to `high` on the scale and the steps of another."""
    if isinstance(domain, Int):
        down, up = math.floor(low + 1e-9), math.ceil(high - 1e-9)
        if domain.step > 1:
            down = domain.low + (down - domain.low) // domain.step * domain.step
            up = domain.low - (domain.low - up) // domain.step * domain.step
        return Int(down, max(down, up), domain.log, domain.step)
    step = domain.step
    if step is None:
        return Float(float(low), float(high), domain.log)
    if low < domain.low or high > domain.high:  # wider than before
        return Float(float(low), float(high), False, step)
    last_place = grid_steps(domain)
    first_place = min(last_place, max(0, math.floor((low - domain.low) / step + 1e-9)))
    end_place = min(last_place, max(first_place, math.ceil((high - domain.low) / step - 1e-9)))
    return Float(on_grid(domain, first_place), on_grid(domain, end_place), False, step)


def _outwards(number: float, *, up: bool) -> float:
    """Return a number with two significant digits, not smaller (`up`) or not larger."""
    if number == 0.0 or not math.isfinite(number):
        return number
    unit = 10.0 ** (math.floor(math.log10(abs(number))) + 1 - DIGITS)
    places = number / unit
    rounded = math.ceil(places - 1e-9) if up else math.floor(places + 1e-9)
    return float(f"{rounded * unit:.12g}")
