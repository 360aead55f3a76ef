"""Charts as the JSON of Plotly: finite numbers, escaped texts, intervals, axes."""

import json
import math

import plotly.graph_objects as go
import pytest

from tunewright.reports.charts.chart import Chart, ChartAxis, ParallelAxis, ParallelChart, Series
from tunewright.reports.charts.interactive import figure_json

EVIL = "</script><script>alert(1)</script> <b>&amp; 'q' \"p\" \U0001f600"


def drawn(chart):
    """Return the figure; Plotly's own schema refuses what it does not know."""
    found = json.loads(figure_json(chart))
    colours = json.dumps(found).replace('"ink"', '"#000000"').replace('"pale"', '"#aaaaaa"')
    go.Figure(json.loads(colours))
    return found


@pytest.mark.parametrize("mark", ["points", "line", "steps", "bars"])
def test_each_mark_is_a_figure_of_plotly(mark):
    series = Series("name", [1.0, 2.0, 3.0], [1.0, None, 3.0], mark)
    found = drawn(Chart("title", [series]))
    assert found["data"][0]["x"] == [1, 2, 3]
    assert found["data"][0]["y"] == [1, None, 3]


def test_no_text_ends_the_script_that_holds_it():
    series = Series(EVIL, ["a", EVIL], [1.0, 2.0], texts=[EVIL, "b"])
    text = figure_json(Chart(EVIL, [series], ChartAxis(EVIL, categories=["a", EVIL])))
    assert "<" not in text
    found = json.loads(text)
    assert "<script>" not in found["data"][0]["hovertext"][0]
    assert found["layout"]["xaxis"]["categoryarray"][1] == found["data"][0]["x"][1]


def test_numbers_that_are_not_finite_are_gaps():
    series = Series(
        "", [1.0, 2.0, 3.0], [math.nan, math.inf, 1e30], low=[0, 0, 0], high=[1, 1, 2e30]
    )
    found = drawn(Chart("", [series]))
    assert found["data"][0]["y"] == [None, None, 1e30]


def test_intervals_are_drawn_around_their_points():
    series = Series("", [1.0, 2.0], [0.5, 0.7], low=[0.4, None], high=[0.8, None])
    bars = drawn(Chart("", [series]))["data"][0]["error_y"]
    assert bars["array"] == pytest.approx([0.3, 0.0])
    assert bars["arrayminus"] == pytest.approx([0.1, 0.0])


def test_limits_of_a_logarithmic_axis_are_exponents():
    found = drawn(Chart("", [Series("", [1.0], [1.0])], x=ChartAxis(log=True, limits=(0.01, 10.0))))
    assert found["layout"]["xaxis"]["range"] == [-2, 1]


def test_a_value_that_is_not_set_lies_below_its_axis():
    axes = [
        ParallelAxis("choice", [0.0, None, 1.0], [(0.0, "a"), (1.0, "b")]),
        ParallelAxis("number", [5.0, 6.0, 7.0]),
    ]
    found = drawn(ParallelChart("", axes, [1.0, 2.0, 3.0], "score"))
    choice, number = found["data"][0]["dimensions"]
    assert choice["values"] == pytest.approx([0.0, -0.15, 1.0])
    assert choice["ticktext"][-1] == "not set"
    assert number["values"] == [5, 6, 7]


def test_many_marks_are_drawn_by_the_graphics_card():
    few, many = (Series("", list(range(n)), list(range(n))) for n in (10, 3000))
    kinds = [trace["type"] for trace in drawn(Chart("", [few, many]))["data"]]
    assert kinds == ["scatter", "scattergl"]
