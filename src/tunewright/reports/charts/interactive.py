"""Charts as Plotly figures, in the JSON that its script reads."""

import json
import math
from collections.abc import Sequence
from html import escape
from typing import Any

from tunewright.reports.charts.chart import Chart, ChartAxis, Coordinate, ParallelChart, Series

SHADES = "Viridis"
LEVEL_CHARACTERS = 90
"""Characters of the axes' titles that stand beside each other; longer ones are turned."""
LABEL_ANGLE = -25
DIGITS = 5
"""Significant digits of a number in a page: more cannot be seen, and make it larger."""


def figure_json(chart: Chart | ParallelChart) -> str:
    """Return a chart as JSON `{"data": ..., "layout": ...}` for Plotly's script.

    It may stand inside a `<script>` element: no text of it can end that element. Texts are escaped,
    since Plotly reads some HTML in them. Colours that depend on the page are named "ink" and
    "pale"; the page replaces them.
    """
    drawn = _parallel(chart) if isinstance(chart, ParallelChart) else _cartesian(chart)
    return as_script(json.dumps(drawn, allow_nan=False, separators=(",", ":")))


def as_script(text: str) -> str:
    """Return JSON that may stand inside a `<script>` element."""
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


def _cartesian(chart: Chart) -> dict[str, Any]:
    named = [series for series in chart.series if series.name]
    layout = {
        "margin": {"l": 64, "r": 16, "t": 16, "b": 56},
        "height": chart.height,
        "showlegend": len(named) > 1,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "hovermode": "closest",
        "barmode": "overlay",
        "xaxis": _axis(chart.x),
        "yaxis": _axis(chart.y),
    }
    return {"data": [_trace(series, chart) for series in chart.series], "layout": layout}


def _parallel(chart: ParallelChart) -> dict[str, Any]:
    dimensions = []
    for axis in chart.axes:
        # A row without a value of a conditional parameter ends below the axis.
        known = [value for value in axis.values if value is not None and math.isfinite(value)]
        known += [place for place, _ in axis.ticks]  # a choice may have no row
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        below = low - 0.15 * ((high - low) or 1.0)
        missing = any(value is None or not math.isfinite(value) for value in axis.values)
        ticks = [*axis.ticks, *([(below, "not set")] if missing and axis.ticks else [])]
        dimension: dict[str, Any] = {
            "label": escape(axis.title),
            "values": [_number(below if value is None else value) for value in axis.values],
        }
        if ticks:
            dimension |= {
                "range": [_number(below if missing else low), _number(high)],
                "tickvals": _numbers([place for place, _ in ticks]),
                "ticktext": [escape(text) for _, text in ticks],
            }
        dimensions.append(dimension)
    line = {
        "color": _numbers(chart.shades),
        "colorscale": SHADES,
        "showscale": True,
        "colorbar": {"title": {"text": escape(chart.shade_title)}, "thickness": 12},
    }
    margin = {"l": 80, "r": 24, "t": 64, "b": 24}
    lines: dict[str, Any] = {"type": "parcoords", "line": line, "dimensions": dimensions}
    if sum(len(axis.title) for axis in chart.axes) > LEVEL_CHARACTERS:
        lines["labelangle"] = LABEL_ANGLE
        margin = {"l": 96, "r": 40, "t": 112, "b": 24}
    return {"data": [lines], "layout": {"margin": margin, "height": chart.height}}


def _trace(series: Series, chart: Chart) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "name": escape(series.name),
        "x": _coordinates(series.x),
        "y": _coordinates(series.y),
        "opacity": series.opacity,
        "showlegend": bool(series.name),
    }
    if series.texts:
        trace |= {"hovertext": [escape(text) for text in series.texts], "hoverinfo": "text"}
    else:
        trace |= {"hoverinfo": "x+y+name" if series.name else "x+y"}
    if series.mark == "bars":
        trace |= {"type": "bar", "marker": {"color": series.colour}}
        if series.across:
            trace |= {"orientation": "h"}
        if series.starts:
            trace |= {"base": _numbers(series.starts)}
    else:
        # WebGL draws ten thousands of marks; few are sharper as SVG.
        many = len(series.x) > 2000
        trace |= {"type": "scattergl" if many else "scatter"}
        trace |= {"mode": "markers" if series.mark == "points" else "lines"}
        if series.mark == "points":
            trace["marker"] = {"color": series.colour, "size": series.size}
            if series.shades:
                trace["marker"] |= {
                    "color": _numbers(series.shades),
                    "colorscale": SHADES,
                    "colorbar": {"title": {"text": escape(chart.shade_title)}, "thickness": 12},
                }
        else:
            shape = "hv" if series.mark == "steps" else "linear"
            trace["line"] = {"color": series.colour, "width": series.size, "shape": shape}
            trace["connectgaps"] = False
    if series.low:
        trace["error_x" if series.across else "error_y"] = _interval(series)
    return trace


def _interval(series: Series) -> dict[str, Any]:
    """Return error bars from the ends of intervals, which are relative for Plotly."""
    middles = series.x if series.across else series.y
    above, below = [], []
    for middle, low, high in zip(middles, series.low, series.high, strict=True):
        known = isinstance(middle, int | float) and low is not None and high is not None
        above.append(float(high) - float(middle) if known else 0.0)  # type: ignore[arg-type]
        below.append(float(middle) - float(low) if known else 0.0)  # type: ignore[arg-type]
    return {
        "type": "data",
        "symmetric": False,
        "array": _numbers(above),
        "arrayminus": _numbers(below),
        "color": "pale" if series.mark == "points" else "ink",
        "thickness": 1.5,
    }


def _axis(axis: ChartAxis) -> dict[str, Any]:
    found: dict[str, Any] = {"title": {"text": escape(axis.title)}, "automargin": True}
    if axis.categories:
        found |= {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [escape(name) for name in axis.categories],
        }
    elif axis.log:
        found |= {"type": "log", "exponentformat": "power", "dtick": 1}
    if axis.ticks:
        found |= {
            "tickvals": _numbers([place for place, _ in axis.ticks]),
            "ticktext": [escape(text) for _, text in axis.ticks],
        }
    if axis.limits is not None:
        low, high = axis.limits
        found["range"] = [math.log10(low), math.log10(high)] if axis.log else [low, high]
    return found


def _coordinates(values: Sequence[Coordinate]) -> list[Any]:
    return [escape(v) if isinstance(v, str) else _number(v) for v in values]


def _numbers(values: Sequence[float | None]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float | None) -> float | None:
    """Return a number with `DIGITS` digits; None, which is a gap, for one that is not finite."""
    if value is None or not math.isfinite(value):
        return None
    if isinstance(value, int) or value.is_integer():
        return int(value) if abs(value) < 1e15 else value
    return float(f"{value:.{DIGITS}g}")
