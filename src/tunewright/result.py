"""What a public function returns: a frozen value that is also JSON, and a table in a notebook."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from html import escape
from typing import Any

ROWS = 30
"""Maximum number of rows of a table in a notebook."""


@dataclass(frozen=True)
class Result:
    """Base of the values that the functions of the package return."""

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints: mappings, lists, texts and numbers that are finite."""
        return {field.name: to_json(getattr(self, field.name)) for field in fields(self)}

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        return to_html(self.as_json())


def to_json(value: Any) -> Any:
    """Return a value for strict JSON: paths and numbers that are not finite become texts."""
    if isinstance(value, Result):
        return value.as_json()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def to_html(value: Any) -> str:
    """Return a JSON value as plain HTML: tables of at most `ROWS` rows, and texts."""
    if isinstance(value, Mapping):
        rows = [f"<th>{escape(str(key))}</th>{_cell(one)}" for key, one in value.items()]
        return _table(rows)
    if not isinstance(value, list):
        return escape(_text(value))
    if value and all(isinstance(one, Mapping) for one in value):
        columns = list(dict.fromkeys(key for one in value for key in one))
        head = "".join(f"<th>{escape(str(key))}</th>" for key in columns)
        rows = ["".join(_cell(one.get(key)) for key in columns) for one in value]
        return _table(rows, head)
    if any(isinstance(one, Mapping | list) for one in value):
        return _table([_cell(one) for one in value])
    more = [f"and {len(value) - ROWS} more"] if len(value) > ROWS else []
    return escape(", ".join([*map(_text, value[:ROWS]), *more]))


def _table(rows: Sequence[str], head: str = "") -> str:
    more = [f"<td>and {len(rows) - ROWS} more</td>"] if len(rows) > ROWS else []
    shown = [*([head] if head else []), *rows[:ROWS], *more]
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in shown)}</table>"


def _cell(value: Any) -> str:
    return f"<td style='text-align: left'>{to_html(value)}</td>"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
