"""Charts and tables of an audit: cheap scores against full ones, agreement by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.analysis.audit.agreement import Agreement, IntervalEstimate
from tunewright.analysis.audit.judge import FidelityAudit
from tunewright.reports.charts.chart import Chart, ChartAxis, Series
from tunewright.reports.figures import COLOURS
from tunewright.reports.study.contents import StudyContents

BLUE, RED = COLOURS[0], COLOURS[1]
COLUMNS = ("tau", "tau of the best quarter", "recall of the best", "regret")


def audit_charts(contents: StudyContents) -> list[Chart]:
    """Return the charts of a study's audit; empty where it was not audited."""
    found = contents.audit
    if found is None:
        return []
    return [*_scores(found), *_by_epoch(found)]


def agreement_rows(found: FidelityAudit) -> list[list[str]]:
    """Return a row for each level: its name, time, and figures with intervals; see `COLUMNS`."""
    rows = []
    for level in found.levels:
        one = level.agreement
        cells = [_text(each) for each in (one.tau, one.top_tau, one.recall, one.regret)]
        rows.append([level.name, "" if level.cost is None else f"{level.cost:.0%}", *cells])
    return rows


def _scores(found: FidelityAudit) -> list[Chart]:
    sign = 1.0 if found.direction == "max" else -1.0
    placed = [row for row in found.rows if row["search"] is not None and row["full"] is not None]
    if not placed:
        return []
    winner = max(
        (row for row in placed if row["state"] == "done"),
        key=lambda row: sign * row["search"],
        default=None,
    )
    series = []
    for name, colour, state in (("finished", BLUE, "done"), ("pruned", "pale", "pruned")):
        rows = [row for row in placed if row["state"] == state and row is not winner]
        series += [_points(name, colour, rows)] if rows else []
    if winner is not None:
        series.append(_points("best in the search", RED, [winner], size=11.0))
    return [
        Chart(
            "Cheap score against full score",
            series,
            ChartAxis(f"{found.goal} in the search"),
            ChartAxis(f"{found.goal} in full"),
            note=f"In full: {found.full}. A ranking that holds rises from left to right. Pruned "
            "trials stand at the last score they reported.",
        )
    ]


def _points(name: str, colour: str, rows: Sequence[Mapping[str, Any]], size: float = 8.0) -> Series:
    x, y = ([row[key] for row in rows] for key in ("search", "full"))
    texts = [f"trial {row['trial']}" for row in rows]
    return Series(name, x, y, colour=colour, size=size, texts=texts)


def _by_epoch(found: FidelityAudit) -> list[Chart]:
    if not found.epochs:
        return []
    epochs = [one.epoch for one in found.epochs]
    measured: list[Agreement] = [one.agreement for one in found.epochs]
    taus, regrets = [one.tau for one in measured], [one.regret for one in measured]
    return [
        _epoch_chart("Ranking by epoch", "Kendall's tau with the last epoch", epochs, taus),
        _epoch_chart("Regret by epoch", f"{found.goal} lost", epochs, regrets),
    ]


def _epoch_chart(
    title: str, axis: str, epochs: Sequence[int], estimates: Sequence[IntervalEstimate]
) -> Chart:
    series = Series(
        title,
        list(epochs),
        [one.value for one in estimates],
        colour=BLUE,
        low=[one.low for one in estimates],
        high=[one.high for one in estimates],
    )
    note = "95 % intervals over configurations. A run counts with its best epoch so far."
    return Chart(title, [series], ChartAxis("epoch"), ChartAxis(axis), note=note)


def _text(one: IntervalEstimate) -> str:
    if one.value is None or one.low is None or one.high is None:
        return ""
    return f"{one.value:.3g} ({one.low:.3g} to {one.high:.3g})"
