"""Figures of a classifier as HTML that opens offline: confusion, reliability, classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.reports.figures import COLOURS, GRID, INK, PALE, write_page

CELL_NUMBERS = 25
"""Most classes for which a confusion matrix shows its numbers."""


def write_confusion(
    counts: Sequence[Sequence[int]], classes: Sequence[str], file: Path, *, title: str = ""
) -> None:
    """Write a confusion matrix: rows are true classes, coloured by the share of the row.

    counts: [C, C] pictures.
    """
    import plotly.graph_objects as go

    sums = [max(1, sum(row)) for row in counts]
    shares = [[count / total for count in row] for row, total in zip(counts, sums, strict=True)]
    few = len(classes) <= CELL_NUMBERS
    names = distinct(classes)
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=names,
            y=names,
            customdata=counts,
            text=counts if few else None,
            texttemplate="%{text}" if few else None,
            zmin=0.0,
            zmax=1.0,
            colorscale=[[0.0, "#ffffff"], [0.02, "#e3ecf3"], [1.0, COLOURS[0]]],
            colorbar={"title": {"text": "share of the true class"}, "tickformat": ".0%"},
            hovertemplate="true %{y}<br>predicted %{x}<br>%{customdata} pictures, %{z:.1%}"
            "<extra></extra>",
        )
    )
    side = max(480, min(1400, 140 + 26 * len(classes)))
    figure.update_layout(**page_layout(title, height=side, width=side + 160))
    figure.update_xaxes(title_text="predicted", type="category", side="bottom", constrain="domain")
    figure.update_yaxes(title_text="true", type="category", autorange="reversed", scaleanchor="x")
    write_page(figure, file)


def write_reliability(
    bins: Mapping[str, Sequence[Mapping[str, Any]]], file: Path, *, title: str = ""
) -> None:
    """Write a reliability diagram: accuracy at each confidence, with the diagonal.

    bins: for each line its bins, with `low`, `high`, `confidence`, `accuracy` (means), `rows`.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.75, 0.25])
    figure.add_trace(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            name="calibrated",
            line={"color": PALE, "width": 2, "dash": "dot"},
        ),
        row=1,
        col=1,
    )
    for index, (name, of_line) in enumerate(bins.items()):
        filled = [entry for entry in of_line if entry["rows"]]
        colour = COLOURS[index % len(COLOURS)]
        x = [entry["confidence"] for entry in filled]
        counts = [entry["rows"] for entry in filled]
        figure.add_trace(
            go.Scatter(
                x=x,
                y=[entry["accuracy"] for entry in filled],
                customdata=counts,
                mode="lines+markers",
                name=name,
                line={"color": colour, "width": 2},
                marker={"color": colour, "size": 8},
                hovertemplate="confidence %{x:.2f}, accuracy %{y:.2f}, %{customdata} pictures"
                "<extra></extra>",
            ),
            row=1,
            col=1,
        )
        width = (filled[0]["high"] - filled[0]["low"]) / len(bins) if filled else 1.0
        left = [entry["low"] + index * width for entry in filled]
        bars = go.Bar(
            x=left,
            y=counts,
            width=width,
            offset=0,
            marker={"color": colour},
            hovertemplate="%{y} pictures<extra></extra>",
            showlegend=False,
        )
        figure.add_trace(bars, row=2, col=1)
    figure.update_layout(**page_layout(title, height=620, width=620))
    figure.update_xaxes(range=[0, 1], gridcolor=GRID)
    figure.update_xaxes(title_text="confidence", row=2, col=1)
    figure.update_yaxes(title_text="accuracy", range=[0, 1], gridcolor=GRID, row=1, col=1)
    figure.update_yaxes(title_text="pictures", gridcolor=GRID, row=2, col=1)
    write_page(figure, file)


def write_classes(rows: Sequence[Mapping[str, Any]], file: Path, *, title: str = "") -> None:
    """Write the recall of every class with its 95 % interval, most frequent class first.

    rows: with `name`, `recall`, `recall_interval`, `pictures` and `train_pictures`.
    """
    import plotly.graph_objects as go

    ranked = sorted(rows, key=lambda row: -row["train_pictures"])
    known = [row for row in ranked if row["recall"] is not None]
    figure = go.Figure(
        go.Scatter(
            x=distinct([row["name"] for row in known]),
            y=[row["recall"] for row in known],
            customdata=[[row["pictures"], row["train_pictures"]] for row in known],
            mode="markers",
            marker={"color": COLOURS[0], "size": 8},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [row["recall_interval"][1] - row["recall"] for row in known],
                "arrayminus": [row["recall"] - row["recall_interval"][0] for row in known],
                "color": PALE,
                "thickness": 1.5,
            },
            hovertemplate="%{x}: %{y:.1%} of %{customdata[0]} pictures, trained on %{customdata[1]}"
            "<extra></extra>",
        )
    )
    figure.update_layout(**page_layout(title, height=480, width=max(640, 200 + 22 * len(known))))
    figure.update_xaxes(title_text="class, most training pictures first", type="category")
    figure.update_yaxes(title_text="recall", range=[0, 1.02], gridcolor=GRID)
    write_page(figure, file)


def page_layout(title: str, *, height: int, width: int) -> dict[str, Any]:
    """Return the layout that all of these figures have."""
    return {
        "template": "plotly_white",
        "font": {"color": INK},
        "title": {"text": title, "font": {"size": 14}},
        "legend": {"y": -0.15, "orientation": "h"},
        "height": height,
        "width": width,
    }


def distinct(names: Sequence[str]) -> list[str]:
    """Make names unique, so that an axis separates classes of equal name."""
    return [
        name if names.count(name) == 1 else f"{name} ({index})" for index, name in enumerate(names)
    ]
