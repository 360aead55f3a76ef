"""Charts as pictures for papers: PNG, SVG and PDF."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.reports.charts.chart import Chart, ChartAxis, Coordinate, ParallelChart, Series
from tunewright.reports.figures import INK, PALE
from tunewright.reports.picture_files import HEIGHT_INCHES, WIDTH_INCHES, write_picture

if TYPE_CHECKING:
    from tunewright.reports.picture_files import Figure

A_ROW = 3
"""Panels side by side, at most."""
PANEL_INCHES = (3.4, 2.8)
"""Width and height of one of several panels."""
AXIS_INCHES = 1.0
"""Width of an axis of parallel coordinates, with the labels of its ticks."""
POINT_A_PIXEL = 0.6
"""Points of a picture for a pixel of a page: marks of a picture are read in print."""
NAMED = {"ink": INK, "pale": PALE}


def write_charts(charts: Sequence[Chart | ParallelChart], file: Path) -> None:
    """Write charts as one picture, three panels a row; the suffix is the format.

    Raises UsageError for a suffix that is no picture, NotWritten where the disk refuses it.
    """
    columns = min(A_ROW, len(charts))
    rows = -(-len(charts) // columns)
    width, height = PANEL_INCHES
    size = {"width_inches": width * columns, "height_inches": height * rows}
    if len(charts) == 1:
        size = {"width_inches": WIDTH_INCHES, "height_inches": HEIGHT_INCHES}
        if isinstance(charts[0], ParallelChart):  # its axes have labels between them
            wanted = AXIS_INCHES * len(charts[0].axes)
            size["width_inches"] = max(WIDTH_INCHES, wanted)

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(rows, columns, squeeze=False).flat
        for panel, chart in zip(panels, charts, strict=False):
            if isinstance(chart, ParallelChart):
                _draw_parallel(panel, chart)
            else:
                _draw(panel, chart)
        for panel in list(figure.axes)[len(charts) : rows * columns]:
            panel.set_axis_off()

    write_picture(draw, file, **size)


def _draw(panel: Any, chart: Chart) -> None:
    panel.set_title(chart.title)
    for series in chart.series:
        _add(panel, series, chart)
    for axis, drawn, limits in (
        (chart.x, panel.xaxis, panel.set_xlim),
        (chart.y, panel.yaxis, panel.set_ylim),
    ):
        drawn.set_label_text(axis.title)
        if axis.log and not axis.categories:
            (panel.set_xscale if drawn is panel.xaxis else panel.set_yscale)("log")
            drawn.set_major_formatter("{x:g}")  # matplotlib's own labels are formulas
            drawn.set_minor_formatter("")
        if axis.categories:
            drawn.set_ticks(range(len(axis.categories)), labels=list(axis.categories))
        elif axis.ticks:
            drawn.set_ticks([at for at, _ in axis.ticks], labels=[text for _, text in axis.ticks])
        if axis.limits is not None:
            limits(*axis.limits)
    if max((len(name) for name in chart.x.categories), default=0) * len(chart.x.categories) > 40:
        panel.set_xticks(panel.get_xticks(), list(chart.x.categories), rotation=30, ha="right")
    if len([one for one in chart.series if one.name]) > 1:
        panel.legend(fontsize="small")


def _draw_parallel(panel: Any, chart: ParallelChart) -> None:
    """Draw a line a row over axes that all reach from 0 to 1; the best rows lie on top."""
    import numpy as np

    columns = []
    for place, axis in enumerate(chart.axes):
        values = np.array([np.nan if v is None else v for v in axis.values], float)
        places = [*values, *(at for at, _ in axis.ticks)]  # a choice may have no row
        low, high = np.nanmin(places), np.nanmax(places)
        width = (high - low) or 1.0
        columns.append(np.nan_to_num((values - low) / width, nan=-0.1))
        ends = axis.ticks or [(low, f"{low:.3g}"), (high, f"{high:.3g}")]
        for at, text in ends:
            panel.text(place, (at - low) / width, f" {text}", fontsize=6, va="center")
    colours = panel.scatter([], [], c=[], cmap="viridis").get_cmap()
    shades = np.array(chart.shades, float)
    low, high = float(shades.min()), float(shades.max())
    for row in np.argsort(shades):
        share = (shades[row] - low) / ((high - low) or 1.0)
        heights = [column[row] for column in columns]
        panel.plot(range(len(columns)), heights, color=colours(share), linewidth=0.7, alpha=0.7)
    titles = [axis.title for axis in chart.axes]
    panel.set_xticks(range(len(columns)), titles, rotation=30, ha="right")
    panel.set_yticks([])
    panel.set_ylim(-0.15 if min(map(min, columns)) < 0 else -0.05, 1.05)
    panel.grid(axis="y", visible=False)
    panel.set_title(f"{chart.title} (brighter: {chart.shade_title})")


def _add(panel: Any, series: Series, chart: Chart) -> None:
    x, y = _places(series.x, chart.x), _places(series.y, chart.y)
    label = series.name or None
    colour = NAMED.get(series.colour, series.colour)
    if series.mark == "bars" and series.across:
        starts = list(series.starts) or [0.0] * len(x)
        panel.barh(y, x, left=starts, color=colour, label=label, alpha=series.opacity, height=0.7)
    elif series.mark == "bars":
        panel.bar(x, y, color=colour, label=label, alpha=series.opacity, width=0.7)
    elif series.mark == "points":
        shades = {"c": list(series.shades), "cmap": "viridis"} if series.shades else {"c": colour}
        area = (series.size * POINT_A_PIXEL) ** 2
        drawn = panel.scatter(x, y, s=area, label=label, alpha=series.opacity, **shades, zorder=3)
        if series.shades:
            panel.figure.colorbar(drawn, ax=panel).set_label(chart.shade_title)
    else:
        style = "steps-post" if series.mark == "steps" else "default"
        panel.plot(
            x,
            y,
            color=colour,
            label=label,
            alpha=series.opacity,
            drawstyle=style,
            linewidth=series.size * POINT_A_PIXEL,
        )
    if series.low:
        middles = x if series.across else y
        ends = zip(middles, series.low, series.high, strict=True)
        known = [
            (0.0, 0.0) if low is None or high is None else (max(0, m - low), max(0, high - m))
            for m, low, high in ends
        ]
        spread = [[low for low, _ in known], [high for _, high in known]]
        which = {"xerr": spread} if series.across else {"yerr": spread}
        panel.errorbar(x, y, **which, fmt="none", ecolor=PALE if series.mark == "points" else INK)


def _places(values: Sequence[Coordinate], axis: ChartAxis) -> list[float]:
    """Return where values lie: the place of a category, NaN for a gap."""
    place = {name: float(index) for index, name in enumerate(axis.categories)}
    return [place[v] if isinstance(v, str) else math.nan if v is None else float(v) for v in values]
