"""Heat maps of two parameters: a picture for papers, or an HTML page that opens offline."""

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.analysis.grid.heat_map import Axis, HeatMap, colour_range
from tunewright.reports.figures import INK, write_page
from tunewright.reports.picture_files import PAGE, check_output, write_picture

if TYPE_CHECKING:
    from tunewright.reports.picture_files import Figure

WRITTEN = 150
"""Cells up to which each shows its number; more would not be read."""
TICKS = 40
"""Labels of an axis at most; of more values every second, third ... is labelled."""
INCHES_A_CELL, INCHES_BESIDE = 0.55, 2.4
SMALLEST, LARGEST = 3.2, 14.0
"""Inches of a side of the picture."""


def write_heat_map(found: HeatMap, file: Path) -> None:
    """Write a heat map; the suffix is the format. Cells without a run are blank.

    Raises UsageError for another suffix, NotWritten where the disk refuses it.
    """
    check_output(file)
    if file.suffix.lower() == PAGE:
        _write_page(found, file)
        return
    columns, rows = len(found.x.labels), len(found.y.labels)
    width, height = (
        min(LARGEST, max(SMALLEST, INCHES_BESIDE + INCHES_A_CELL * count * stretch))
        for count, stretch in ((columns, 1.6), (rows, 1.0))
    )
    write_picture(lambda fig: _draw(found, fig), file, width_inches=width, height_inches=height)


def _draw(found: HeatMap, figure: "Figure") -> None:
    import numpy as np

    scores = np.array([[np.nan if m is None else m for m in row] for row in found.means], float)
    low, high = colour_range([m for row in found.means for m in row if m is not None])
    axes = figure.subplots()
    axes.grid(False)
    drawn = axes.imshow(
        scores, origin="lower", aspect="auto", cmap=_colours(found), vmin=low, vmax=high
    )
    for axis, along in ((axes.xaxis, found.x), (axes.yaxis, found.y)):
        step = -(-len(along.labels) // TICKS)
        axis.set_ticks(range(0, len(along.labels), step), labels=along.labels[::step])
        axis.set_label_text(_axis_title(along))
    if max(map(len, found.x.labels)) * len(found.x.labels) > 60:
        axes.tick_params(axis="x", labelrotation=60)
    if scores.size <= WRITTEN:
        for row, column in np.argwhere(np.isfinite(scores)):
            count = found.counts[row][column]
            share = (scores[row, column] - low) / ((high - low) or 1.0)
            dark = share < 0.55 if found.direction == "max" else share > 0.45
            text = _number(scores[row, column], found) + (f"\nn = {count}" if count > 1 else "")
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                color="white" if dark else INK,
                fontsize=8,
            )
    bar = figure.colorbar(drawn, ax=axes, extend=_beyond(scores, low, high))
    bar.set_label(f"{found.metric} ({_better(found)})")
    axes.set_title(found.title)


def _write_page(found: HeatMap, file: Path) -> None:
    import plotly.graph_objects as go

    figure = go.Figure(go.Heatmap(**_trace(found)))
    figure.update_layout(
        **_layout(found),
        template="plotly_white",
        font={"color": INK},
        title={"text": escape(found.title), "font": {"size": 14}},
        width=min(1400, 320 + 90 * len(found.x.labels)),
        height=_pixels_high(found),
    )
    write_page(figure, file)


def heat_map_json(found: HeatMap) -> tuple[str, int]:
    """Return a heat map for Plotly's script, as `{"data": ..., "layout": ...}`, and its height."""
    height = _pixels_high(found)
    margin = {"l": 64, "r": 16, "t": 16, "b": 56}
    layout = {**_layout(found), "height": height, "margin": margin}
    data = [{"type": "heatmap", **_trace(found)}]
    return json.dumps({"data": data, "layout": layout}, allow_nan=False), height


def _pixels_high(found: HeatMap) -> int:
    return min(1200, 260 + 60 * len(found.y.labels))


def _trace(found: HeatMap) -> dict[str, Any]:
    low, high = colour_range([m for row in found.means for m in row if m is not None])
    texts = [
        [
            "" if mean is None else _hover(mean, count, spread)
            for mean, count, spread in zip(*rows, strict=True)
        ]
        for rows in zip(found.means, found.counts, found.spreads, strict=True)
    ]
    trace: dict[str, Any] = {
        # Labels as texts on a category axis: numbers would be placed by size, and leave gaps.
        "x": [escape(label) for label in found.x.labels],
        "y": [escape(label) for label in found.y.labels],
        "z": [list(row) for row in found.means],
        "text": texts,
        "hovertemplate": f"{escape(found.x.name)} = %{{x}}<br>{escape(found.y.name)} = %{{y}}"
        "<br>%{text}<extra></extra>",
        "hoverongaps": False,
        "colorscale": "Viridis",
        "reversescale": found.direction == "min",
        "zmin": low,
        "zmax": high,
        "colorbar": {"title": {"text": f"{escape(found.metric)}<br>({_better(found)})"}},
    }
    if len(found.x.labels) * len(found.y.labels) <= WRITTEN:
        trace["texttemplate"] = "%{z:.5g}"
    return trace


def _layout(found: HeatMap) -> dict[str, Any]:
    """Return the axes of an interactive heat map."""
    return {
        name: {
            "type": "category",
            "title": {"text": escape(_axis_title(along))},
            "showgrid": False,
            "automargin": True,
        }
        for name, along in (("xaxis", found.x), ("yaxis", found.y))
    }


def _axis_title(along: Axis) -> str:
    return along.name + (", logarithmic ranges" if along.ranges and along.logarithmic else "")


def _colours(found: HeatMap) -> str:
    """Return the colours in which bright is better."""
    return "viridis" if found.direction == "max" else "viridis_r"


def _better(found: HeatMap) -> str:
    return "more is better" if found.direction == "max" else "less is better"


def _number(value: float, found: HeatMap) -> str:
    """Return a score with the digits that tell the cells of this map apart."""
    known = [abs(m) for row in found.means for m in row if m is not None]
    distance = max(known) - min(known)
    digits = 5 if distance < 0.01 * max(known) else 4
    return f"{value:.{digits}g}"


def _hover(mean: float, count: int, spread: float | None) -> str:
    within = "" if spread is None else f" ± {spread:.3g} (standard deviation)"
    return f"{mean:.6g}{within}, n = {count}"


def _beyond(scores: Any, low: float, high: float) -> str:
    """Return on which sides cells lie beyond the colours."""
    import numpy as np

    below, above = bool(np.nanmin(scores) < low), bool(np.nanmax(scores) > high)
    return {(False, False): "neither", (True, False): "min", (False, True): "max"}.get(
        (below, above), "both"
    )
