"""Figures as HTML pages that open offline and can be sent by mail: one file each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from tunewright.runs.record import Progress

INK, PALE, GRID = "#22313f", "#b4c1cc", "#dfe4e8"
PANELS_A_ROW = 3
COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#8d6a9f", "#bc8a2c", "#3a7d7c")


def write_page(figure: Any, file: Path) -> None:
    """Write a Plotly figure as one HTML file that needs no other file and no network.

    The script of Plotly, 4.8 MB, is part of each page: a page that loads it from a file beside it
    is empty when it is copied or mailed alone.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.write_html(file, include_plotlyjs=True)


def write_curves(
    history: Sequence[Progress], groups: Mapping[str, Sequence[str]], file: Path
) -> None:
    """Write training curves by epoch, one panel for each group of metrics.

    The page needs `plotly.min.js`, written beside it. groups: panel title to the names of its
    metrics; names that were not reported are left out, and so are empty panels.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    reported = {name for progress in history for name in progress.metrics}
    panels = {
        title: [name for name in names if name in reported]
        for title, names in groups.items()
        if any(name in reported for name in names)
    }
    if not panels:
        return
    rows, columns = -(-len(panels) // PANELS_A_ROW), min(len(panels), PANELS_A_ROW)
    figure = make_subplots(rows=rows, cols=columns, subplot_titles=list(panels))
    for place, names in enumerate(panels.values()):
        row, column = place // PANELS_A_ROW + 1, place % PANELS_A_ROW + 1
        for index, name in enumerate(names):
            points = [(p.step, p.metrics[name]) for p in history if name in p.metrics]
            figure.add_trace(
                go.Scatter(
                    x=[step for step, _ in points],
                    y=[value for _, value in points],
                    name=name,
                    mode="lines",
                    line={"color": COLOURS[index % len(COLOURS)], "width": 2},
                    showlegend=len(names) > 1,
                ),
                row=row,
                col=column,
            )
        figure.update_xaxes(title_text="epoch", row=row, col=column)
    figure.update_layout(
        template="plotly_white",
        font={"color": INK},
        legend={"y": -0.2, "orientation": "h"},
        height=440 * rows,
        width=460 * columns,
    )
    figure.update_xaxes(gridcolor=GRID)
    figure.update_yaxes(gridcolor=GRID)
    write_page(figure, file)


def write_lr_curve(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    file: Path,
    *,
    marks: Mapping[str, float],
    title: str = "",
) -> None:
    """Write the losses of a learning-rate sweep: raw in light, smoothed in dark.

    The page needs `plotly.min.js`, written beside it. marks: learning rates by name; each is a
    vertical line, with a point on the smoothed curve.
    """
    import numpy as np
    import plotly.graph_objects as go

    def curve(name: str, values: Sequence[float], colour: str, width: float) -> go.Scatter:
        line = {"color": colour, "width": width}
        return go.Scatter(x=list(rates), y=list(values), name=name, mode="lines", line=line)

    figure = go.Figure([curve("loss", losses, PALE, 1), curve("smoothed", smoothed, INK, 2.5)])
    for (name, rate), colour in zip(marks.items(), COLOURS, strict=False):
        figure.add_vline(x=rate, line={"color": colour, "width": 1.5, "dash": "dot"})
        within = len(rates) > 0 and rates[0] <= rate <= rates[-1]
        height = float(np.interp(np.log(rate), np.log(rates), smoothed)) if within else None
        marker = {"color": colour, "size": 10}
        label = f"{name} {rate:.1e}"
        figure.add_trace(
            go.Scatter(x=[rate], y=[height], name=label, mode="markers", marker=marker)
        )
    figure.update_layout(
        template="plotly_white",
        font={"color": INK},
        title={"text": "<br>".join(wrap(title, 110)), "font": {"size": 14}},
        legend={"y": -0.2, "orientation": "h"},
        height=520,
    )
    figure.update_xaxes(
        title_text="learning rate", type="log", dtick=1, exponentformat="power", gridcolor=GRID
    )
    figure.update_yaxes(title_text="training loss", gridcolor=GRID)
    write_page(figure, file)
