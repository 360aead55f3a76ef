"""What public functions return, as JSON and in a notebook."""

import json
import math
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Any

import pytest

from tunewright.result import ROWS, Result, to_html
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Goal


@dataclass(frozen=True)
class Point:
    x: float
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found(Result):
    folder: RunFolder
    file: Path
    points: tuple[Point, ...]
    figures: Mapping[Any, Any]
    nothing: None = None


FOUND = Found(
    RunFolder(Path("runs/a")),
    Path("a.csv"),
    (Point(1.5, ("<b>",)), Point(math.nan)),
    {1: math.inf, "goal": Goal("accuracy", "max"), "ok": True},
)


def test_the_json_is_strict_and_holds_every_field() -> None:
    assert json.loads(json.dumps(FOUND.as_json(), allow_nan=False)) == {
        "folder": "runs/a",
        "file": "a.csv",
        "points": [{"x": 1.5, "names": ["<b>"]}, {"x": "nan", "names": []}],
        "figures": {"1": "inf", "goal": ["accuracy", "max"], "ok": True},
        "nothing": None,
    }
    assert FOUND.as_json() == json.loads(json.dumps(FOUND.as_json()))


def test_a_result_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        FOUND.file = Path("b.csv")  # type: ignore[misc]


def test_a_notebook_shows_a_table_without_markup_of_the_values() -> None:
    page = FOUND._repr_html_()
    assert page.startswith("<table><tr><th>folder</th>")
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count("<table>") == page.count("</table>")


def test_rows_of_mappings_have_one_head_and_long_ones_are_cut() -> None:
    rows = [{"trial": number, "score": number / 3} for number in range(100)]
    page = to_html(rows)
    assert page.count("<th>trial</th>") == 1
    assert f"and {100 - ROWS} more" in page
    assert "0.333333" in page
    assert "and 70 more" in to_html(list(range(100)))
