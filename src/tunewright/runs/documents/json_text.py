"""Read a JSON text strictly and within limits."""

import json
import math
import re
from typing import Any

from tunewright.errors import quote
from tunewright.runs.documents.limits import MAX_DEPTH, MAX_DIGITS

MAX_JSON_BYTES = 1 << 30
"""Size of a JSON text: the metadata of millions of captions."""
SHOWN = 24
"""Characters before a JSON error that its message quotes, which mostly include the key."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN|-?\d[\d.eE+-]*')
_LONG_NUMBER = re.compile(rf"\d{{{MAX_DIGITS + 1}}}")
_HALF_CHARACTER = re.compile(r"\\u[dD][89abcdefABCDEF]")


def parse_json(text: str, *, finite: bool = True) -> Any:
    """Return the value of a JSON text, read strictly.

    finite: refuse NaN, Infinity and numbers beyond the range of floats: in a stranger's file they
    stand for missing values, and would pass on as numbers or names. Raises json.JSONDecodeError,
    with line and column, also for a duplicate key, half a character (a lone surrogate), and what
    exceeds the limits.
    """
    if len(text) > MAX_JSON_BYTES:
        raise json.JSONDecodeError(f"longer than {MAX_JSON_BYTES:,} characters", "", 0)
    whole = {"parse_int": _short_integer} if _LONG_NUMBER.search(text) else {}
    try:
        value = json.loads(
            text,
            parse_float=_finite if finite else None,
            parse_constant=_finite if finite else None,
            object_pairs_hook=_unique,
            **whole,  # type: ignore[arg-type]
        )
    except _RefusedNumber as error:
        written, why = error.args
        found = next(token for token in _TOKEN.finditer(text) if token[0] == written)
        shown = text[max(0, found.start() - SHOWN) : found.start() + SHOWN].strip()
        raise json.JSONDecodeError(f"{why}, in {shown!r}", text, found.start()) from None
    except _DuplicateKey as error:
        why = f"duplicate key {quote(error.args[0])}"
        at = max(0, text.rfind(json.dumps(error.args[0])))
        raise json.JSONDecodeError(why, text, at) from None
    except RecursionError:
        raise _too_deep(text) from None
    if _is_deep(value):
        raise _too_deep(text)
    if _HALF_CHARACTER.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            half = _HALF_CHARACTER.search(text)
            at = half.start() if half else 0
            raise json.JSONDecodeError("half a character (a lone surrogate)", text, at) from None
    return value


class _RefusedNumber(Exception):
    """A number as it is written, and why it is refused."""


class _DuplicateKey(Exception):
    """A key that occurs twice in one object."""


def _finite(written: str) -> float:
    value = float(written)
    if not math.isfinite(value):
        raise _RefusedNumber(written, f"{written[:SHOWN]} is no number in JSON")
    return value


def _short_integer(written: str) -> int:
    if len(written) > MAX_DIGITS:
        raise _RefusedNumber(written, f"a number of {len(written):,} digits")
    return int(written)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        left = dict.fromkeys(found, 1)
        raise _DuplicateKey(next(key for key, _ in pairs if not left.pop(key, 0)))
    return found


def _is_deep(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for node in level
            for inner in (node.values() if type(node) is dict else node)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


def _too_deep(text: str) -> json.JSONDecodeError:
    return json.JSONDecodeError(f"nested deeper than {MAX_DEPTH} levels", text, 0)
