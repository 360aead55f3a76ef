"""Two studies or runs side by side as a page."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunewright.analysis.comparison import Comparison, Points
from tunewright.analysis.score_differences import ScoreDifference
from tunewright.reports.charts.chart import Chart, ChartAxis, Mark, Series
from tunewright.reports.classification import distinct
from tunewright.reports.figures import COLOURS
from tunewright.reports.pages.page import Card, PageSection, Table, chart_panel, write_sections
from tunewright.reports.study.contents import Command

ROWS = 60
"""Rows of what differs, and classes of a chart, at most."""


def write_comparison_page(found: Comparison, file: Path) -> None:
    """Write a comparison as a page; raise NotWritten where the disk refuses it."""
    one, other = found.names
    more = "more" if found.direction == "max" else "less"
    subtitle = (
        f"{found.recipe or 'Optuna'}: two {'studies' if found.kind == 'study' else 'runs'}, goal "
        f"{found.goal} ({more} is better). Differences are those of {other} over {one}."
    )
    sections = [_result(found), *_what_differs(found), *_charts(found)]
    write_sections(file, f"{one} and {other}", subtitle, sections)


def verdict_text(row: ScoreDifference, second: str) -> str:
    """Return what a difference says, in words."""
    if row.verdict in ("better", "worse"):
        return f"{second} is {row.verdict}"
    return row.verdict or row.why


def _result(found: Comparison) -> PageSection:
    cards = [_card(found, row) for row in found.scores if row.metric == found.goal][:4]
    rows = [
        [
            row.of,
            row.metric,
            _number(row.first),
            _number(row.second),
            "" if row.value is None else f"{row.value:+.4g}",
            "" if row.low is None or row.high is None else f"{row.low:+.3g} to {row.high:+.3g}",
            verdict_text(row, found.names[1]),
            row.method,
        ]
        for row in found.scores
    ]
    columns = ("of", "metric", *found.names, "difference", "95 % interval", "verdict", "method")
    tables = [Table("Scores", columns, rows, numbers=False)] if rows else []
    lead = " ".join(f"{note[0].upper()}{note[1:]}." for note in found.notes)
    commands = [
        Command(f"The report of {name}:", f"tunewright report {shlex.quote(name)}")
        for name in found.names
    ]
    return PageSection("Result", lead, cards=cards, tables=tables, commands=commands)


def _card(found: Comparison, row: ScoreDifference) -> Card:
    if row.value is None:
        return Card(f"{row.metric}, {row.of}", "not compared", row.why)
    tone = row.verdict if row.verdict in ("better", "worse") else ""
    within = verdict_text(row, found.names[1])
    if row.low is not None and row.high is not None:
        within = f"95 % interval {row.low:+.3g} to {row.high:+.3g}, {row.method}: {within}"
    return Card(f"{row.metric}, {row.of}", f"{row.value:+.4g}", within, tone)


def _what_differs(found: Comparison) -> list[PageSection]:
    tables = []
    for title, rows in (("Search space", found.space), ("Configuration", found.configuration)):
        if rows:
            left = len(rows) - ROWS
            note = f"{left} more rows are in --json." if left > 0 else ""
            shown = [(name, _value(a), _value(b)) for name, a, b in rows[:ROWS]]
            tables.append(Table(title, ("name", *found.names), shown, note, numbers=False))
    lead = "" if tables else "No setting and no parameter of the space differs."
    return [PageSection("What differs", lead, tables=tables)]


def _charts(found: Comparison) -> list[PageSection]:
    search = [
        *_two_lines("Best score so far, by trial", "trial", found, found.by_trial, "steps"),
        *_two_lines("Best score so far, by time", "hours", found, found.by_hours, "steps"),
        *_two_lines(f"{found.goal} by epoch", "epoch", found, found.curves, "line"),
    ]
    sections = []
    if search:
        panels = [chart_panel(chart, f"course-{index}") for index, chart in enumerate(search)]
        sections.append(PageSection("Course", panels=panels))
    if drawn := _row_charts(found):
        panels = [chart_panel(chart, f"class-{index}") for index, chart in enumerate(drawn)]
        sections.append(PageSection("By class", panels=panels))
    return sections


def _two_lines(
    title: str, axis: str, found: Comparison, lines: Sequence[Points], mark: Mark
) -> list[Chart]:
    if not any(lines):
        return []
    last = max(place for points in lines for place, _ in points)
    series = []
    for index, (name, points) in enumerate(zip(found.names, lines, strict=True)):
        # The best of a search that ended holds on.
        ends = [(last, points[-1][1])] if points and mark == "steps" else []
        drawn = [*points, *ends]
        x, y = [place for place, _ in drawn], [score for _, score in drawn]
        series.append(Series(name, x, y, mark, colour=COLOURS[index], size=2))
    return [Chart(title, series, ChartAxis(axis), ChartAxis(found.goal))]


def _row_charts(found: Comparison) -> list[Chart]:
    """Show the difference of each class with its interval, the largest loss first."""
    charts = []
    for metric in dict.fromkeys(row.metric for row in found.rows):
        known = [row for row in found.rows if row.metric == metric and row.value is not None]
        sign = 1.0 if known and known[0].direction == "max" else -1.0
        ranked = sorted(known, key=lambda row: sign * (row.value or 0.0))
        left = len(ranked) - ROWS
        if left > 0:
            ranked = [*ranked[: ROWS // 2], *ranked[-(ROWS // 2) :]]
        names = distinct([row.of for row in ranked])
        some = any(row.low is not None for row in ranked)
        points = Series(
            "",
            names,
            [row.value for row in ranked],
            colour=COLOURS[0],
            low=[row.low for row in ranked] if some else (),
            high=[row.high for row in ranked] if some else (),
            texts=[f"{row.of}: {row.first:.4g} and {row.second:.4g}" for row in ranked],
        )
        zero = Series("", [names[0], names[-1]], [0.0, 0.0], "line", colour="pale", size=1)
        apart = sum(row.verdict in ("better", "worse") for row in known)
        chance = f"about {0.05 * len(known):.1f} would by chance"
        note = f"{apart} of {len(known)} classes differ beyond their own 95 % interval; {chance}."
        note += f" {left} classes in the middle are left out." if left > 0 else ""
        x, y = ChartAxis("class", categories=names), ChartAxis(f"difference of {metric}")
        charts.append(Chart(f"{metric} by class", [zero, points], x, y, note=note, wide=True))
    return charts


def _number(value: float) -> str:
    return f"{value:.5g}"


def _value(value: Any) -> str:
    if value is None:
        return "not there"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
