"""Figures of several labels a picture as HTML that opens offline."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.reports.classification import distinct, page_layout
from tunewright.reports.figures import COLOURS, GRID, PALE, write_page

POINTS = 200
"""Most points of a curve."""


def write_labels(
    rows: Sequence[Mapping[str, Any]], shares: Sequence[float], file: Path, *, title: str = ""
) -> None:
    """Write the average precision of each label with its interval, most frequent label first.

    rows: with `name`, `average_precision`, `interval`, `pictures` and `train_pictures`. shares:
    of the pictures that have each label, which is what chance would reach.
    """
    import plotly.graph_objects as go

    pairs = sorted(zip(rows, shares, strict=True), key=lambda pair: -pair[0]["train_pictures"])
    known = [(row, share) for row, share in pairs if row["average_precision"] is not None]
    names = distinct([row["name"] for row, _ in known])
    heights = [row["average_precision"] for row, _ in known]
    ends = [row["interval"] or [row["average_precision"]] * 2 for row, _ in known]
    figure = go.Figure(
        go.Scatter(
            x=names,
            y=heights,
            customdata=[[row["pictures"], row["train_pictures"]] for row, _ in known],
            mode="markers",
            name="this run",
            marker={"color": COLOURS[0], "size": 8},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [high - at for (_, high), at in zip(ends, heights, strict=True)],
                "arrayminus": [at - low for (low, _), at in zip(ends, heights, strict=True)],
                "color": PALE,
                "thickness": 1.5,
            },
            hovertemplate="%{x}: %{y:.3f}, %{customdata[0]} pictures, trained on %{customdata[1]}"
            "<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=names,
            y=[share for _, share in known],
            mode="markers",
            name="by chance",
            marker={"color": PALE, "symbol": "line-ew-open", "size": 14},
            hovertemplate="%{x}: %{y:.3f} by chance<extra></extra>",
        )
    )
    figure.update_layout(**page_layout(title, height=480, width=max(640, 200 + 22 * len(known))))
    figure.update_xaxes(title_text="label, most training pictures first", type="category")
    figure.update_yaxes(title_text="average precision", range=[0, 1.02], gridcolor=GRID)
    write_page(figure, file)


def write_precision_recall(
    rows: Sequence[Mapping[str, Any]],
    targets: npt.NDArray[np.bool_],
    probabilities: npt.NDArray[np.float64],
    file: Path,
    *,
    title: str = "",
) -> None:
    """Write precision against recall of each label, with the point of its threshold.

    rows: with `name`, `threshold`, `precision`, `recall` and `pictures`; labels without a picture
    are left out. targets, probabilities: [N, C].
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    shown = [at for at, row in enumerate(rows) if row["pictures"]]
    for number, at in enumerate(shown):
        row, colour = rows[at], COLOURS[number % len(COLOURS)]
        recall, precision = _curve(targets[:, at], probabilities[:, at])
        figure.add_trace(
            go.Scatter(
                x=recall,
                y=precision,
                mode="lines",
                name=f"{row['name']} ({row['pictures']})",
                legendgroup=str(at),
                line={"color": colour, "width": 2, "shape": "vh"},
            )
        )
        figure.add_trace(
            go.Scatter(
                x=[row["recall"]],
                y=[row["precision"]],
                mode="markers",
                legendgroup=str(at),
                showlegend=False,
                marker={"color": colour, "size": 9},
                hovertemplate=f"{row['name']} from probability {row['threshold']:.3f} on: "
                "precision %{y:.3f}, recall %{x:.3f}<extra></extra>",
            )
        )
    figure.update_layout(**page_layout(title, height=620, width=720))
    figure.update_xaxes(title_text="recall", range=[0, 1.02], gridcolor=GRID)
    figure.update_yaxes(title_text="precision", range=[0, 1.02], gridcolor=GRID)
    write_page(figure, file)


def _curve(
    targets: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float64]
) -> tuple[list[float], list[float]]:
    """Return recall and precision at falling thresholds, at most `POINTS` of them."""
    order = np.argsort(-probabilities, kind="stable")
    hits, said = np.cumsum(targets[order]), np.arange(1, len(order) + 1)
    ends = np.flatnonzero(np.append(np.diff(probabilities[order]) != 0, True))
    kept = ends[np.unique(np.linspace(0, len(ends) - 1, min(POINTS, len(ends))).astype(int))]
    return (hits[kept] / targets.sum()).tolist(), (hits[kept] / said[kept]).tolist()
