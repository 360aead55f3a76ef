"""How findings write numbers, values and lists."""

from collections.abc import Sequence
from typing import Any

from tunewright.errors import shorten
from tunewright.spaces.domain import is_number


def figure(value: Any, digits: int = 3) -> str:
    """Return a number with few digits; other values as they are written."""
    if isinstance(value, bool):
        return str(value).lower()
    if is_number(value):
        return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
    return shorten(str(value))


def join_words(items: Sequence[str], most: int = 6) -> str:
    """Return items as words: `a, b and c`; of many, the first ones and how many more."""
    if len(items) > most:
        return f"{', '.join(items[: most - 1])} and {len(items) - most + 1} more"
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def trials(count: int) -> str:
    """Return a number of trials in words."""
    return f"{count} trial{'s' * (count != 1)}"


def percent(share: float) -> str:
    """Return a share in per cent."""
    return f"{100 * share:.0f} %"
