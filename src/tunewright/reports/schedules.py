"""What follows the clock of a training, by epoch, as a picture for a paper or an HTML page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.reports.figures import COLOURS, GRID, INK, write_page
from tunewright.reports.picture_files import PAGE, check_output, write_picture

if TYPE_CHECKING:
    from tunewright.reports.picture_files import Figure

PANEL_INCHES, PANEL_PIXELS = 3.4, 380
"""Heights of a panel."""
LOG_FROM = 20.0
"""Ratio of the largest to the smallest value above which an axis is logarithmic."""


@dataclass(frozen=True)
class ScheduleCurve:
    """A value after 0, 1, 2, ... epochs, NaN where there is none.

    is_own: whether it is the run's; others are thin.
    """

    name: str
    values: tuple[float, ...]
    is_own: bool = True


@dataclass(frozen=True)
class SchedulePanel:
    """The curves of one axis, such as the learning rate."""

    axis: str
    curves: tuple[ScheduleCurve, ...]

    @property
    def is_log(self) -> bool:
        """Whether the values span orders of magnitude, all above 0."""
        values = [v for curve in self.curves for v in curve.values if not math.isnan(v)]
        return min(values) > 0.0 and max(values) > LOG_FROM * min(values)


def write_schedules(panels: Sequence[SchedulePanel], file: Path, *, title: str = "") -> None:
    """Write panels below each other as PNG, SVG, PDF or HTML, by the suffix of the file.

    Raises UsageError for another suffix.
    """
    check_output(file)
    if file.suffix.lower() == PAGE:
        _write_page(panels, file, title)
    else:
        height = PANEL_INCHES * len(panels)
        write_picture(lambda figure: _draw(figure, panels, title), file, height_inches=height)


def _draw(figure: "Figure", panels: Sequence[SchedulePanel], title: str) -> None:
    if title:
        figure.suptitle(title, fontsize=10)
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        for place, curve in enumerate(panel.curves):
            axes.plot(
                range(len(curve.values)),
                curve.values,
                label=curve.name,
                color=_colour(place),
                linestyle="--" if _is_dashed(place) else "-",
                linewidth=2.2 if curve.is_own else 1.1,
            )
        axes.set_ylabel(panel.axis)
        axes.set_xlabel("epochs done")
        axes.set_yscale("log" if panel.is_log else "linear")
        axes.margins(x=0.01)
        if len(panel.curves) > 1:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)


def _write_page(panels: Sequence[SchedulePanel], file: Path, title: str) -> None:
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=len(panels), cols=1, vertical_spacing=0.3 / len(panels))
    for row, panel in enumerate(panels, start=1):
        for place, curve in enumerate(panel.curves):
            line = {
                "color": _colour(place),
                "width": 3.5 if curve.is_own else 1.5,
                "dash": "dash" if _is_dashed(place) else "solid",
            }
            trace = go.Scatter(
                x=list(range(len(curve.values))),
                y=list(curve.values),
                name=curve.name,
                mode="lines",
                line=line,
                showlegend=len(panel.curves) > 1,
                hovertemplate="after %{x} epochs: %{y:.4g}<extra>" + curve.name + "</extra>",
            )
            figure.add_trace(trace, row=row, col=1)
        figure.update_xaxes(title_text="epochs done", gridcolor=GRID, row=row, col=1)
        kind = "log" if panel.is_log else "linear"
        figure.update_yaxes(title_text=panel.axis, type=kind, gridcolor=GRID, row=row, col=1)
    figure.update_layout(
        template="plotly_white",
        font={"color": INK},
        title={"text": title, "font": {"size": 14}},
        height=120 + PANEL_PIXELS * len(panels),
    )
    write_page(figure, file)


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _is_dashed(place: int) -> bool:
    """Return whether a curve shares its colour with an earlier one."""
    return place >= len(COLOURS)
