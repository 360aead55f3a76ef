"""Figures as HTML that opens offline; the one door to Plotly."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tunewright.runs.record import Progress

INK, GRID = "#22313f", "#dfe4e8"
COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#8d6a9f", "#bc8a2c", "#3a7d7c")


def write_curves(
    history: Sequence[Progress], groups: Mapping[str, Sequence[str]], file: Path
) -> None:
    """Training curves by epoch, one panel for each group of metrics, beside `plotly.min.js`.

    groups: title of a panel to the names of its metrics; names that were not reported are left
    out, and so are panels without any.
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
    figure = make_subplots(rows=1, cols=len(panels), subplot_titles=list(panels))
    for column, names in enumerate(panels.values(), start=1):
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
                row=1,
                col=column,
            )
        figure.update_xaxes(title_text="epoch", row=1, col=column)
    figure.update_layout(
        template="plotly_white",
        font={"color": INK},
        legend={"y": -0.2, "orientation": "h"},
        height=440,
        width=460 * len(panels),
    )
    figure.update_xaxes(gridcolor=GRID)
    figure.update_yaxes(gridcolor=GRID)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.write_html(file, include_plotlyjs="directory")
