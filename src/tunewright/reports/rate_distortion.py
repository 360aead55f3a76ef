"""Rate-distortion curves, as an HTML page that opens offline and as a static SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

from tunewright.reports.figures import COLOURS, GRID, INK, PALE, write_page

Kind = Literal["run", "classical", "published"]
PSNR, MS_SSIM = "PSNR (dB)", "MS-SSIM (dB)"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 480, 64, 24, 44, 56
ROW = 20
"""Pixels: size and margins of the SVG, and the height of a row of its legend."""
ROOM = 1.35
"""End of the rate axis as a multiple of the runs' highest rate; other curves go further."""


@dataclass(frozen=True)
class PlotCurve:
    """A curve by increasing rate; a single run is one point.

    quality: decibels. kind: our runs are drawn bold, classical codecs thin, published curves
    dotted, for context. note: shown at its points, such as a source.
    """

    name: str
    bpp: tuple[float, ...]
    quality: tuple[float, ...]
    kind: Kind = "run"
    note: str = ""


def write_rate_distortion(
    panels: Sequence[tuple[str, Sequence[PlotCurve]]], file: Path, *, title: str = ""
) -> None:
    """Write curves as HTML, with a panel for each axis of quality that has any.

    The page needs `plotly.min.js`, written beside it. panels: the title of an axis (`PSNR`,
    `MS_SSIM`) and its curves. A curve has the same colour in all panels.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    filled = [(axis, curves) for axis, curves in panels if curves]
    if not filled:
        return
    names = list(dict.fromkeys(curve.name for _, curves in filled for curve in curves))
    figure = make_subplots(rows=1, cols=len(filled))
    for column, (axis, curves) in enumerate(filled, start=1):
        for curve in curves:
            colour = _colour(names, curve.name)
            figure.add_trace(
                go.Scatter(
                    x=list(curve.bpp),
                    y=list(curve.quality),
                    name=curve.name,
                    legendgroup=curve.name,
                    showlegend=column == 1,
                    mode="lines+markers",
                    line={
                        "color": colour,
                        "width": 3 if curve.kind == "run" else 1.5,
                        "dash": "dot" if curve.kind == "published" else "solid",
                    },
                    marker={"size": 10 if curve.kind == "run" else 5},
                    hovertemplate="%{x:.4f} bpp, %{y:.2f} dB"
                    + (f"<br>{escape(curve.note)}" if curve.note else "")
                    + f"<extra>{escape(curve.name)}</extra>",
                ),
                row=1,
                col=column,
            )
        (left, right), (low, high) = _frame(curves)
        figure.update_xaxes(title_text="bits per pixel", range=[left, right], row=1, col=column)
        figure.update_yaxes(title_text=axis, range=[low, high], row=1, col=column)
    figure.update_layout(
        template="plotly_white",
        font={"color": INK},
        title={"text": escape(title), "font": {"size": 14}},
        legend={"y": -0.18, "orientation": "h"},
        height=560,
        width=120 + 620 * len(filled),
    )
    figure.update_xaxes(gridcolor=GRID)
    figure.update_yaxes(gridcolor=GRID)
    write_page(figure, file)


def rate_distortion_svg(curves: Sequence[PlotCurve], *, axis: str = PSNR, title: str = "") -> str:
    """Draw the same curves as SVG, for documents."""
    (left, right), (low, high) = _frame(curves)
    bottom, legend = HEIGHT - BOTTOM, HEIGHT - 4

    def x(rate: float) -> float:
        return round(LEFT + (rate - left) / (right - left) * (WIDTH - LEFT - RIGHT), 1)

    def y(quality: float) -> float:
        return round(bottom - (quality - low) / (high - low) * (bottom - TOP), 1)

    rows = math.ceil(len(curves) / 3)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{legend + rows * ROW}" '
        f'font-family="sans-serif" font-size="12" fill="{INK}">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<clipPath id="plot"><rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{bottom - TOP}"/></clipPath>',
        f'<text x="12" y="24" font-size="15">{escape(title)}</text>',
    ]
    for tick in round_ticks(left, right):
        parts += [
            f'<line x1="{x(tick)}" x2="{x(tick)}" y1="{TOP}" y2="{bottom}" stroke="{GRID}"/>',
            f'<text x="{x(tick)}" y="{bottom + 17}" text-anchor="middle">{tick:g}</text>',
        ]
    for tick in round_ticks(low, high):
        parts += [
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick)}" y2="{y(tick)}" '
            f'stroke="{GRID}"/>',
            f'<text x="{LEFT - 8}" y="{y(tick) + 4}" text-anchor="end">{tick:g}</text>',
        ]
    middle = (TOP + bottom) / 2
    parts += [
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{bottom + 36}" text-anchor="middle">'
        "bits per pixel</text>",
        f'<text x="18" y="{middle}" text-anchor="middle" transform="rotate(-90 18 {middle})">'
        f"{escape(axis)}</text>",
    ]
    names = [curve.name for curve in curves]
    for place, curve in enumerate(curves):
        colour = _colour(names, curve.name)
        width = 3 if curve.kind == "run" else 1.5
        dash = ' stroke-dasharray="2 4"' if curve.kind == "published" else ""
        points = [(x(r), y(q)) for r, q in zip(curve.bpp, curve.quality, strict=True)]
        line = f'fill="none" stroke="{colour}" stroke-width="{width}"{dash}'
        parts.append(
            f'<g clip-path="url(#plot)"><polyline {line} points="'
            + " ".join(f"{px},{py}" for px, py in points)
            + '"/>'
            + "".join(
                f'<circle cx="{px}" cy="{py}" r="{width + 1}" fill="{colour}"/>'
                for px, py in points
            )
            + "</g>"
        )
        at, down = LEFT + place % 3 * 226, legend + place // 3 * ROW
        parts += [
            f'<line x1="{at}" x2="{at + 26}" y1="{down}" y2="{down}" {line}/>',
            f'<text x="{at + 34}" y="{down + 4}">{escape(curve.name)}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _colour(names: Sequence[str], name: str) -> str:
    place = names.index(name)
    return COLOURS[place] if place < len(COLOURS) else PALE


def _frame(curves: Sequence[PlotCurve]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the visible range of rate and quality: around the runs, or everything without runs."""
    runs = [curve for curve in curves if curve.kind == "run"] or list(curves)
    right = ROOM * max(rate for curve in runs for rate in curve.bpp)
    if len(runs) == 1 and len(runs[0].bpp) == 1:
        right = max(right, 1.0)  # room for other curves around a single point
    inside = [
        quality
        for curve in curves
        for rate, quality in zip(curve.bpp, curve.quality, strict=True)
        if rate <= right
    ]
    return (0.0, right), (math.floor(min(inside)), math.ceil(max(inside) + 0.1))


def round_ticks(low: float, high: float) -> list[float]:
    """Return four to nine round numbers from low to high: 0, 0.2, ..., 1 for 0 to 1."""
    rough = (high - low) / 8
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]
