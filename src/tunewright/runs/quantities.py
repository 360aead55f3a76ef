"""Seconds and bytes as people write and read them."""

import math
import re

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_WRITTEN = re.compile(
    r"(?:(?P<d>[\d.]+)d)?(?:(?P<h>[\d.]+)h)?(?:(?P<m>[\d.]+)m(?:in)?)?(?:(?P<s>[\d.]+)s?)?"
)


def seconds_of(written: str | float) -> float:
    """`90`, `"90s"`, `"45m"`, `"8h"`, `"1h30m"` and `"2d"` in seconds.

    Raises ValueError for anything else, and for nothing or less.
    """
    expected = "a time such as 90 (seconds), 45m, 8h, 1h30m or 2d"
    if isinstance(written, bool) or not isinstance(written, str | int | float):
        raise ValueError(expected)
    if isinstance(written, str):
        found = _WRITTEN.fullmatch("".join(written.split()).lower())
        if found is None or not any(found.groups()):
            raise ValueError(expected)
        try:
            parts = {unit: float(text) for unit, text in found.groupdict().items() if text}
        except ValueError:
            raise ValueError(expected) from None
        seconds = sum(_UNITS[unit] * value for unit, value in parts.items())
    else:
        seconds = float(written)
    if not 0.0 < seconds < math.inf:
        raise ValueError(f"{expected}, above zero")
    return seconds


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} days"


def size(count: float) -> str:
    """Bytes as people say them."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= factor:
            amount = count / factor
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    return f"{count:.0f} bytes"
