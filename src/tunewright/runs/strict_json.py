"""Strict JSON: extensions that Python's reader accepts are refused, with the position."""

import json
import math
import re
from typing import Any

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN|-?\d[\d.eE+-]*')

SHOWN = 24
"""Characters before an error that its message quotes, which mostly include the key."""


def read_strict_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises json.JSONDecodeError, with line and column, also for NaN, Infinity and numbers beyond the
    range of floats: they stand for missing values, and would pass on as numbers or names.
    """
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except _NotFinite as error:
        found = next(token for token in TOKEN.finditer(text) if token[0] == error.args[0])
        shown = text[max(0, found.start() - SHOWN) : found.end()].strip()
        why = f"{found[0]} is no number in JSON, in {shown!r}"
        raise json.JSONDecodeError(why, text, found.start()) from None


class _NotFinite(Exception):
    """A number that is not finite, as it is written."""


def _finite(written: str) -> float:
    value = float(written)
    if not math.isfinite(value):
        raise _NotFinite(written)
    return value
