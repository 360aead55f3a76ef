"""Turn what Python code hands over in a space into values that every file and database can hold."""

import datetime
import math
from collections.abc import KeysView, Mapping, Sequence, ValuesView
from typing import Any, NoReturn

from tunewright.errors import SpaceError
from tunewright.runs.sqlite_url import is_text

STORABLE = "a number, a text, true, false, null, or lists and dictionaries of them"


def plain_values(value: Any, at: str) -> Any:
    """Return `value` with plain numbers, texts, lists, tuples and dictionaries, all the way down.

    Scalars and arrays of NumPy, torch and pandas become numbers and lists. at: where in the space
    the value stands, for errors. Raises SpaceError for a value that cannot be stored.
    """
    if value is None or type(value) in (bool, int):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else _refuse_not_finite(value, at)
    if type(value) is str:
        return value if is_text(value) and "\0" not in value else _refuse(value, at)
    if isinstance(value, Mapping):
        return {key: plain_values(inner, _below(at, key)) for key, inner in value.items()}
    if isinstance(value, Sequence | KeysView | ValuesView) and not isinstance(value, str | bytes):
        items = (plain_values(inner, f"{at}[{place}]") for place, inner in enumerate(value))
        return tuple(items) if isinstance(value, tuple) else list(items)
    converted = _from_array_library(value)
    return _refuse(value, at) if converted is value else plain_values(converted, at)


def _below(at: str, key: object) -> str:
    return f"{at}.{key}" if at else str(key)


def _from_array_library(value: Any) -> Any:
    """Return the Python value of a scalar or an array of another library, else `value` itself."""
    for method in ("tolist", "item"):  # of NumPy, torch and pandas
        if callable(convert := getattr(value, method, None)):
            try:
                found = convert()
            except (TypeError, ValueError, RuntimeError):
                continue
            return value if type(found) is type(value) else found
    return value


def _refuse_not_finite(value: float, at: str) -> NoReturn:
    raise SpaceError(
        f"{at} = {value!r}",
        expected="a finite number, since no database stores another",
        remedy='Leave a bound out; write a choice as a text, such as "none", and translate it '
        "where it is used.",
    )


def _refuse(value: object, at: str) -> NoReturn:
    if isinstance(value, datetime.date):
        remedy = f'Write it as a text: "{value}".'
    elif isinstance(value, str):
        remedy = "Write it without characters that cannot be stored."
    else:
        remedy = (
            'Write a text in its place, such as "small", and look up what it stands for where it '
            "is used."
        )
    raise SpaceError(f"{at} = {_short(value)}", expected=STORABLE, remedy=remedy)


def _short(value: object) -> str:
    return ascii(value) if isinstance(value, str) else f"{value!r:.200}"
