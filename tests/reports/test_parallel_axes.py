"""Axes of parallel coordinates: choices that no trial has, titles that are long."""

import json
from pathlib import Path

import pytest

from tunewright.reports.charts.chart import ParallelAxis, ParallelChart
from tunewright.reports.charts.interactive import figure_json
from tunewright.reports.charts.picture import write_charts

TICKS = [(0.0, "32"), (1.0, "64"), (2.0, "96"), (3.0, "128")]


def chart(titles: list[str]) -> ParallelChart:
    axes = [ParallelAxis(title, [2.0, 3.0], TICKS) for title in titles]
    return ParallelChart("All parameters at once", axes, [0.1, 0.2], "score")


def drawn(titles: list[str]) -> dict[str, object]:
    [trace] = json.loads(figure_json(chart(titles)))["data"]
    found: dict[str, object] = trace
    return found


def test_an_axis_reaches_to_choices_that_no_trial_has() -> None:
    [dimension] = drawn(["dim"])["dimensions"]  # type: ignore[misc]
    assert dimension["range"] == [0.0, 3.0]


def test_long_titles_are_turned_and_short_ones_stand_level() -> None:
    assert "labelangle" not in drawn(["lr", "dim"])
    assert drawn([f"model.some_parameter_{n}" for n in range(9)])["labelangle"]


@pytest.mark.filterwarnings("error")
def test_a_picture_of_nine_axes_finds_room_for_them(tmp_path: Path) -> None:
    titles = [f"model.some_parameter_{n}" for n in range(9)]
    write_charts([chart(titles)], tmp_path / "all.png")
    assert (tmp_path / "all.png").stat().st_size > 0
