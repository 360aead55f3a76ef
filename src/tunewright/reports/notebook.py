"""What a notebook shows of a study, a training or an evaluation: small HTML without scripts.

All texts are escaped. Tables and texts are cut, so that a notebook of many cells stays small.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tunewright.analysis.history import best_so_far
from tunewright.analysis.winner.replication import Replication
from tunewright.analysis.winner.wording import describe
from tunewright.errors import printable, shorten
from tunewright.reports.figures import COLOURS
from tunewright.result import ROWS
from tunewright.runs.record import StudyRecord

WIDTH, HEIGHT = 360, 90
"""Pixels of the small chart."""
TEXT = 120
"""Characters of a text in a table, at most."""
LEFT = "text-align: left"


def study_summary(record: StudyRecord, replication: Replication | None = None) -> str:
    """Return the winner of a study, its parameters and the best score so far, as HTML.

    replication: what replicates say; without them the winner is the trial with the best score.
    """
    counts: dict[str, int] = {}
    for trial in record.own:
        counts[trial.state] = counts.get(trial.state, 0) + 1
    states = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none yet"
    parts = [heading(f"Study {record.name}: {len(record.own)} trials ({states})")]
    best = record.winner
    if best is None:
        return "".join([*parts, paragraph("No trial has finished yet.")])
    if replication is None:
        within = interval_text(best.interval)
        parts.append(
            paragraph(f"best {record.goal}: {number(best.score)}{within}, trial {best.number}")
        )
    else:
        parts += [paragraph(line) for line in describe(replication)]
    parts.append(table(("parameter", "value"), list(best.parameters.items())))
    return "".join([*parts, best_so_far_svg(record)])


def best_so_far_svg(record: StudyRecord) -> str:
    """Return the best score by trial as a small picture; empty for fewer than two scores."""
    steps = best_so_far(record)
    if len(steps) < 2:
        return ""
    last = max(trial.number for trial in record.trials)
    low, high = sorted((steps[0][1], steps[-1][1]))

    def place(number: float, score: float) -> str:
        x = 4 + (WIDTH - 8) * number / max(1, last)
        y = HEIGHT - 4 - (HEIGHT - 8) * (score - low) / ((high - low) or 1.0)
        return f"{x:.1f},{y:.1f}"

    corners, before = [place(*steps[0])], steps[0][1]
    for trial, score in steps[1:]:
        corners += [place(trial, before), place(trial, score)]
        before = score
    corners.append(place(last, before))
    label = _format_value(
        f"best {record.goal} so far, from {number(steps[0][1])} to {number(before)}"
    )
    return (
        f'<svg role="img" aria-label="{label}" width="{WIDTH}" height="{HEIGHT}">'
        f'<polyline fill="none" stroke="{COLOURS[0]}" stroke-width="2" '
        f'points="{" ".join(corners)}"/></svg>'
    )


def evaluation_summary(figures: Mapping[str, Any]) -> str:
    """Return the metrics of an evaluation beside its baselines, and its notes, as HTML."""
    baselines: Mapping[str, Mapping[str, Any]] = figures.get("baselines") or {}
    metrics: Mapping[str, Any] = figures.get("metrics") or {}
    rows = [
        (
            name,
            value,
            interval_text(figures.get(f"{name}_interval")).strip(" ()"),
            *(scores.get(name, "") for scores in baselines.values()),
        )
        for name, value in metrics.items()
    ]
    columns = ("metric", "value", "95 % interval", *baselines)
    notes = "".join(paragraph(f"note: {note}") for note in figures.get("notes") or ())
    return heading(f"Evaluation, {figures.get('split', '')}") + table(columns, rows) + notes


def heading(text: str) -> str:
    """Return a text in bold."""
    return f"<p><b>{_format_value(text)}</b></p>"


def paragraph(text: str) -> str:
    """Return a text as a paragraph."""
    return f"<p>{escape(printable(shorten(text, 4 * TEXT)))}</p>"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table of at most `ROWS` rows; the first column names its row."""
    head = "".join(f"<th scope='col' style='{LEFT}'>{_format_value(name)}</th>" for name in columns)
    lines = [
        f"<tr><th scope='row' style='{LEFT}'>{_format_value(first)}</th>"
        + "".join(f"<td style='{LEFT}'>{_format_value(value)}</td>" for value in others)
        + "</tr>"
        for first, *others in rows[:ROWS]
    ]
    more = paragraph(f"and {len(rows) - ROWS} more") if len(rows) > ROWS else ""
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>{more}"


def link(file: Path, text: str) -> str:
    """Return a link to a file."""
    return f'<p><a href="{escape(address(file))}">{_format_value(text)}</a></p>'


def address(file: Path) -> str:
    """Return the address of a file in a notebook: relative where it lies in the working folder.

    Notebooks serve files below their own folder alone.
    """
    here = Path.cwd()
    if not file.is_absolute():
        return quote(file.as_posix())
    return quote(file.relative_to(here).as_posix()) if file.is_relative_to(here) else file.as_uri()


def interval_text(interval: Sequence[float] | None) -> str:
    """Return ` (low .. high)`; empty where there is no interval."""
    return f" ({number(interval[0])} .. {number(interval[1])})" if interval else ""


def number(value: float | None) -> str:
    """Return a number with five significant digits."""
    return "" if value is None else f"{value:.5g}"


def _format_value(value: Any) -> str:
    text = number(value) if isinstance(value, float) else str(value)
    return escape(printable(shorten(text, TEXT)))
