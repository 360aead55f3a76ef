"""Scores along one parameter, one panel for each lambda: a picture or an HTML page."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.analysis.grid.effect_curves import EffectCurve, EffectPanel
from tunewright.reports.figures import COLOURS, GRID, INK, write_page
from tunewright.reports.picture_files import PAGE, check_output, write_picture

if TYPE_CHECKING:
    from tunewright.reports.picture_files import Figure

NAMED = 12
"""Curves of a panel that the legend lists, and labels of its axis, at most."""


def write_effects(
    panels: Sequence[EffectPanel], parameter: str, metric: str, file: Path, *, title: str = ""
) -> None:
    """Write the curves of each panel; bars are standard deviations of repeated cells.

    Raises UsageError for a suffix that is no picture and no page, NotWritten where the disk
    refuses it.
    """
    check_output(file)
    if file.suffix.lower() == PAGE:
        _write_page(panels, parameter, metric, file, title)
        return
    width = min(14.0, 1.5 + 4.0 * len(panels))
    write_picture(
        lambda figure: _draw(panels, parameter, metric, figure, title), file, width_inches=width
    )


def _draw(
    panels: Sequence[EffectPanel], parameter: str, metric: str, figure: "Figure", title: str
) -> None:
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    names = list(dict.fromkeys(curve.name for panel in panels for curve in panel.curves))
    for panel, axes in zip(panels, grid, strict=True):
        for place, curve in enumerate(panel.curves):
            axes.errorbar(
                _places(panel, curve),
                curve.means,
                yerr=curve.spreads if any(curve.spreads) else None,
                label=(curve.name or None) if place < NAMED else None,
                color=COLOURS[names.index(curve.name) % len(COLOURS)],
                marker="o",
                markersize=4,
                capsize=2,
            )
        if panel.logarithmic:
            axes.set_xscale("log")
        if panel.numeric:
            step = -(-len(panel.values) // NAMED)
            axes.set_xticks([float(str(v)) for v in panel.values[::step]], panel.labels[::step])
            axes.minorticks_off()
        else:
            axes.set_xticks(range(len(panel.labels)), panel.labels)
        axes.set_title(panel.title)
        axes.set_xlabel(parameter)
        axes.set_ylabel(metric)
        if any(curve.name for curve in panel.curves):
            left = len(panel.curves) - NAMED
            axes.legend(fontsize="small", title=f"and {left} more" if left > 0 else None)
    if title:
        figure.suptitle(title)


def _write_page(
    panels: Sequence[EffectPanel], parameter: str, metric: str, file: Path, title: str
) -> None:
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=1, cols=len(panels), subplot_titles=[escape(panel.title) for panel in panels]
    )
    names = list(dict.fromkeys(curve.name for panel in panels for curve in panel.curves))
    for column, panel in enumerate(panels, start=1):
        for curve in panel.curves:
            colour = COLOURS[names.index(curve.name) % len(COLOURS)]
            figure.add_trace(
                go.Scatter(
                    x=_places(panel, curve) if panel.numeric else _labels(panel, curve),
                    y=curve.means,
                    error_y={"type": "data", "array": curve.spreads, "visible": any(curve.spreads)},
                    customdata=curve.counts,
                    name=escape(curve.name or metric),
                    legendgroup=curve.name,
                    showlegend=column == 1,
                    mode="lines+markers",
                    line={"color": colour, "width": 2},
                    hovertemplate="%{x}: %{y:.6g}, n = %{customdata}<extra></extra>",
                ),
                row=1,
                col=column,
            )
        kind = "log" if panel.logarithmic else "linear" if panel.numeric else "category"
        figure.update_xaxes(type=kind, title_text=escape(parameter), row=1, col=column)
    figure.update_yaxes(title_text=escape(metric), gridcolor=GRID, row=1, col=1)
    figure.update_xaxes(gridcolor=GRID)
    figure.update_layout(
        template="plotly_white",
        font={"color": INK},
        title={"text": escape(title), "font": {"size": 14}},
        legend={"y": -0.25, "orientation": "h"},
        height=460,
        width=160 + 440 * len(panels),
    )
    write_page(figure, file)


def _places(panel: EffectPanel, curve: EffectCurve) -> list[float]:
    """Return where the points of a curve stand: at their numbers, or at their order."""
    if not panel.numeric:
        return [float(place) for place in curve.places]
    return [float(str(panel.values[place])) for place in curve.places]


def _labels(panel: EffectPanel, curve: EffectCurve) -> list[str]:
    return [escape(panel.labels[place]) for place in curve.places]
