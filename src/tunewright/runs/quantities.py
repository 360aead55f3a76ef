"""Parse and format seconds, bytes and counts as people write them."""

import math
import re
from collections.abc import Mapping

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_WRITTEN = re.compile(
    r"(?:(?P<d>[\d.]+)d)?(?:(?P<h>[\d.]+)h)?(?:(?P<m>[\d.]+)m(?:in)?)?(?:(?P<s>[\d.]+)s?)?"
)
_BYTES = {
    "": 1.0,
    "b": 1.0,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "tb": 1e12,
    "kib": 2.0**10,
    "mib": 2.0**20,
    "gib": 2.0**30,
    "tib": 2.0**40,
}
_TIMES = {"": 1.0, "ms": 1.0, "s": 1e3, "us": 1e-3}
_COUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_AMOUNT = re.compile(r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?)([a-z]*)")


def bytes_of(written: str | float) -> float:
    """Parse `"500MB"` (10^6), `"477MiB"` (2^20) or plain bytes; else raise ValueError."""
    return _amount(written, _BYTES, "a size such as 500MB, 477MiB or 1GB")


def milliseconds_of(written: str | float) -> float:
    """Parse `"100ms"`, `"0.1s"` or a plain number of milliseconds; else raise ValueError."""
    return _amount(written, _TIMES, "a time such as 100ms or 0.1s")


def count_of(written: str | float) -> float:
    """Parse `"10B"` (10^9), `"28M"`, `"500k"` or a plain number; else raise ValueError."""
    return _amount(written, _COUNTS, "a count such as 10B, 28M or 500k")


def _amount(written: str | float, units: Mapping[str, float], expected: str) -> float:
    """Parse a number above zero with one of `units`, in any case."""
    found = _AMOUNT.fullmatch("".join(str(written).split()).replace("_", "").lower())
    if isinstance(written, bool) or found is None or found[2] not in units:
        raise ValueError(expected)
    amount = float(found[1]) * units[found[2]]
    if not 0.0 < amount < math.inf:
        raise ValueError(f"{expected}, above zero")
    return amount


def seconds_of(written: str | float) -> float:
    """Parse `90`, `"90s"`, `"45m"`, `"8h"`, `"1h30m"` or `"2d"` into seconds.

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
    """Format seconds for people."""
    if 0.0005 <= seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
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
    """Format bytes for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= factor:
            amount = count / factor
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    return f"{count:.0f} bytes"
