"""The report of one run as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.reports.charts.chart import Chart, ChartAxis, Series
from tunewright.reports.figures import COLOURS
from tunewright.reports.pages.page import (
    Card,
    Log,
    PageSection,
    Table,
    chart_panel,
    write_sections,
)
from tunewright.reports.pages.study_page import model_section
from tunewright.reports.study.contents import Command, EvaluationFigures
from tunewright.reports.study.evaluation_charts import evaluation_charts
from tunewright.runs.quantities import duration
from tunewright.runs.record import Outcome, Progress

CHARTS = 24
"""Charts of metrics by epoch, at most."""
PREFIXES = {"train_": "training", "val_": "validation"}
"""Beginnings of metrics that share a chart where the rest of their names is the same."""


@dataclass(frozen=True)
class RunContents:
    """All that the page of a run is made of.

    outcome: None while it runs, or where it died. configuration: by path. logs: the end of its log.
    """

    name: str
    goal: str
    history: Sequence[Progress]
    outcome: Outcome | None
    configuration: Mapping[str, Any]
    evaluation: EvaluationFigures | None = None
    commands: Sequence[Command] = ()
    log: Sequence[str] = ()
    made: str = ""


def write_run_page(contents: RunContents, file: Path) -> None:
    """Write the report of a run; raise NotWritten where the disk refuses it."""
    sections = [_result(contents)]
    if charts := curve_charts(contents.history):
        panels = [chart_panel(chart, f"curve-{index}") for index, chart in enumerate(charts)]
        sections.append(PageSection("Training", panels=panels))
    if contents.evaluation is not None:
        drawn = evaluation_charts(contents.evaluation)
        panels = [chart_panel(chart, f"evaluation-{index}") for index, chart in enumerate(drawn)]
        sections.append(model_section(contents.evaluation, panels))
    rows = [(path, str(value)) for path, value in contents.configuration.items()]
    table = Table("Configuration", ("key", "value"), rows, numbers=False)
    logs = [Log("the end of its log", "\n".join(contents.log))] if contents.log else []
    sections.append(PageSection("Settings", tables=[table], logs=logs))
    write_sections(file, f"Run {contents.name}", contents.made, sections)


def curve_charts(history: Sequence[Progress]) -> list[Chart]:
    """Return the metrics of a run by epoch: training and validation of one metric in one chart."""
    names = dict.fromkeys(name for progress in history for name in progress.metrics)
    groups: dict[str, list[str]] = {}
    for name in names:
        prefix = next((one for one in PREFIXES if name.startswith(one)), "")
        groups.setdefault(name.removeprefix(prefix), []).append(name)
    charts = [
        Chart(
            metric,
            [_curve(history, name, index) for index, name in enumerate(sorted(group))],
            ChartAxis("epoch"),
            ChartAxis(metric),
            height=300,
        )
        for metric, group in groups.items()
    ]
    if any(progress.lr is not None for progress in history):
        steps = [progress.step for progress in history]
        rates = Series("", steps, [p.lr for p in history], "line", colour=COLOURS[0], size=2)
        axes = ChartAxis("epoch"), ChartAxis("learning rate")
        charts.append(Chart("learning rate", [rates], *axes, height=300))
    return charts[:CHARTS]


def _curve(history: Sequence[Progress], name: str, index: int) -> Series:
    known = [progress for progress in history if name in progress.metrics]
    label = next((text for prefix, text in PREFIXES.items() if name.startswith(prefix)), name)
    return Series(
        label,
        [progress.step for progress in known],
        [progress.metrics[name] for progress in known],
        "line",
        colour=COLOURS[index % len(COLOURS)],
        size=2,
    )


def _result(contents: RunContents) -> PageSection:
    outcome = contents.outcome
    if outcome is None:
        last = contents.history[-1].step if contents.history else 0
        cards = [Card("state", "not ended", f"{last} epochs are reported")]
        return PageSection("Result", cards=cards, commands=contents.commands)
    cards = [Card("state", outcome.state, outcome.reason)]
    if contents.goal in outcome.metrics:
        within = ""
        if outcome.interval is not None:
            within = "95 % interval {:.4g} to {:.4g}".format(*outcome.interval)
        score = f"{outcome.metrics[contents.goal]:.5g}"
        cards.append(Card(f"best {contents.goal}", score, within))
    if outcome.best_step is not None:
        cards.append(Card("best epoch", str(outcome.best_step)))
    cards.append(Card("training time", duration(outcome.seconds)))
    tables = []
    if outcome.costs:
        rows = [(name, f"{value:.5g}") for name, value in outcome.costs.items()]
        tables.append(Table("Costs", ("cost", "value"), rows))
    return PageSection("Result", cards=cards, tables=tables, commands=contents.commands)
