"""The report of a study as one page."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.analysis.audit.judge import FidelityAudit
from tunewright.analysis.overview import states_in_words
from tunewright.analysis.spending import spending
from tunewright.reports.charts.interactive import as_script
from tunewright.reports.heat_map import heat_map_json
from tunewright.reports.pages.page import (
    Card,
    Log,
    PageSection,
    Panel,
    Table,
    chart_panel,
    write_sections,
)
from tunewright.reports.pages.replicates import (
    replicate_lead,
    replicate_table,
    winner_cards,
)
from tunewright.reports.study.audit_charts import COLUMNS, agreement_rows
from tunewright.reports.study.contents import Command, EvaluationFigures, StudyContents
from tunewright.reports.study.kinds import KINDS
from tunewright.reports.study.parameter_charts import named_maps, pair_map
from tunewright.runs.quantities import duration
from tunewright.runs.record import OPEN, Trial

TOP = 10
"""Trials in the table of the best."""
PARAMETERS = 12
"""Columns of parameters in that table: the most important ones."""
GAINS = 12
"""Gains in the table of their cost: the last ones."""
GROUPS: Mapping[str, Sequence[str]] = {
    "Search": ("history", "curves", "goals"),
    "Parameters": ("importances", "metrics", "ranks", "isolation", "slices", "parallel"),
    "Fidelity": ("audit",),
    "Model": ("evaluation",),
    "Cost": ("gains", "workers"),
}
"""The sections with charts, and the kinds of figure in each."""


def write_study_page(contents: StudyContents, file: Path) -> None:
    """Write the report of a study; raise NotWritten where the disk refuses it."""
    record, overview = contents.record, contents.overview
    states = states_in_words(overview.by_state, overview.rungs)
    ended = overview.trials - sum(overview.by_state.get(state, 0) for state in OPEN)
    total = f" of {contents.total}" if contents.total and contents.total > ended else ""
    subtitle = (
        f"{record.recipe or 'Optuna study'}: {ended}{total} trials ({states or 'none yet'}) over "
        f"{len(contents.ranked_paths)} parameters, goal {record.goal} "
        f"({'more' if record.direction == 'max' else 'less'} is better). {contents.made}"
    )
    sections = [
        _result(contents),
        *_chart_sections(contents),
        *_ensemble(contents),
        *_failures(contents),
        _about(contents),
    ]
    write_sections(file, f"Study {record.name}", subtitle, sections)


def _result(contents: StudyContents) -> PageSection:
    """Return the first screen: the best configuration, what was gained, what to do next."""
    record, best = contents.record, contents.record.winner
    found = contents.overview.replication
    spent = Card("time of all trials", duration(contents.overview.seconds) or "none")
    if best is None:
        lead = "No trial has finished yet." if contents.overview.trials else "No trial was begun."
        cards = [spent]
        tables: list[Table] = []
    else:
        lead = "" if found is None else replicate_lead(found)
        chosen = [] if found is None else winner_cards(found, record.best)
        cards = [
            *(chosen or _search_cards(contents, best)),
            Card(
                "trial of the winner" if chosen else "trial", str(best.number), _trial_remark(best)
            ),
            spent,
        ]
        rows = [(path, _value(value)) for path, value in best.parameters.items()]
        tables = [
            Table(
                "Configuration of the winner" if chosen else "Best configuration",
                ("parameter", "value"),
                rows,
                numbers=False,
            ),
            *([] if found is None else [replicate_table(found)]),
            _best_trials(contents),
        ]
    return PageSection(
        "Result",
        lead,
        cards=cards,
        tables=tables,
        findings=contents.overview.findings,
        commands=contents.commands,
    )


def _search_cards(contents: StudyContents, best: Trial) -> list[Card]:
    """Return the cards of a winner that its search score alone has chosen."""
    score = Card(f"best {contents.record.goal}", _figure(best.score), _interval_text(best))
    return [score, *_gain_cards(contents)]


def _trial_remark(best: Trial) -> str:
    if best.imported_from:
        return f"from {best.imported_from}"
    return best.good or best.note or (f"{len(best.seeds)} seeds" if best.seeds else "")


def _interval_text(trial: Trial) -> str:
    if trial.interval is None:
        return "no interval is stored"
    low, high = trial.interval
    return f"95 % interval {low:.4g} to {high:.4g}, not corrected for the search"


def _gain_cards(contents: StudyContents) -> list[Card]:
    gain = contents.gain
    if gain is None:
        return []
    if not gain.value:
        return [Card("gain over the defaults", "0", "the defaults are the best so far")]
    way = "more" if contents.record.direction == "max" else "less"
    remark = f"trial {gain.defaults.number} tried them: {_figure(gain.defaults.score)}"
    if gain.low is not None and gain.high is not None:
        remark = f"95 % interval {gain.low:.3g} to {gain.high:.3g} {way}; {remark}"
    tone = "" if gain.is_tie else "better"
    tied = " (a tie)" if gain.is_tie else ""
    return [Card("gain over the defaults", f"{gain.value:.4g} {way}{tied}", remark, tone)]


def _best_trials(contents: StudyContents) -> Table:
    record = contents.record
    paths = contents.ranked_paths[:PARAMETERS]
    others = [goal.metric for goal in record.others]
    rows = []
    for trial in record.rank_trials()[:TOP]:
        scores = [_figure(trial.score), *(_figure(trial.others.get(name)) for name in others)]
        values = [_value(trial.parameters.get(path, "")) for path in paths]
        rows.append([str(trial.number), *scores, *values])
    left = len(contents.ranked_paths) - len(paths)
    note = f"{left} less important parameters are left out." if left else ""
    return Table("Best trials", ("trial", record.goal, *others, *paths), rows, note)


def _chart_sections(contents: StudyContents) -> list[PageSection]:
    found = []
    for title, kinds in GROUPS.items():
        panels = [
            chart_panel(chart, f"{kind}-{index}")
            for kind in kinds
            for index, chart in enumerate(KINDS[kind].charts(contents))
        ]
        if "ranks" in kinds and (mapped := pair_map(contents)) is not None:
            x, y = mapped.x.name, mapped.y.name
            note = f"Mean {contents.record.goal} by cell; blank cells have no trial."
            json, height = heat_map_json(mapped)
            name = f"Means by {x} and {y}"
            before = ("importances", "metrics", "ranks")
            place = sum(panel.anchor.startswith(before) for panel in panels)
            panels.insert(place, Panel(name, as_script(json), note, False, height, "heatmap"))
        if "ranks" in kinds:
            panels += _named_maps(contents)
        section = PageSection(title, panels=panels)
        if title == "Model" and contents.evaluation is not None:
            section = model_section(contents.evaluation, panels)
        if title == "Fidelity" and contents.audit is not None:
            section = _fidelity(contents.audit, panels)
        if title == "Cost":
            section = PageSection(title, tables=_cost_tables(contents), panels=panels)
        if section.panels or section.tables:
            found.append(section)
    return found


def _fidelity(audit: FidelityAudit, panels: Sequence[Panel]) -> PageSection:
    """Return the section about the search's fidelity: agreement of the rankings, and advice."""
    notes = [f"Noise: {audit.tolerance:.3g}, the {audit.source}."] if audit.source else []
    notes += [f"{note[:1].upper()}{note[1:]}." for note in (*audit.notes, *audit.advice)]
    columns = ("level", "time of a full training", *COLUMNS)
    levels = Table("Rankings against full trainings", columns, agreement_rows(audit))
    return PageSection("Fidelity", lead=" ".join(notes), tables=[levels], panels=panels)


def _named_maps(contents: StudyContents) -> list[Panel]:
    """Return the maps of pairs that the recipe names, such as gamma and w_lr of `compression`."""
    panels = []
    for index, found in enumerate(named_maps(contents)):
        json, height = heat_map_json(found)
        note = f"Mean {contents.record.goal} by cell."
        note += "".join(f" {one[0].upper()}{one[1:]}." for one in found.notices)
        title = f"Means by {found.x.name} and {found.y.name}"
        panels.append(Panel(title, as_script(json), note, False, height, f"map-{index}"))
    return panels


def _cost_tables(contents: StudyContents) -> list[Table]:
    """Return what was spent, and what each gain cost."""
    spent = spending(contents.record)
    if not spent.trial_hours:
        return []
    rows = [("time of all trials", duration(spent.trial_hours * 3600.0))]
    if contents.on_gpu:
        rows.append(("GPU-hours, one GPU a trial", f"{spent.trial_hours:.4g}"))
    if spent.energy_kwh is not None:
        rows.append(("energy that trials reported", f"{spent.energy_kwh:.4g} kWh"))
    if spent.last_gain is not None:
        rows.append(("time until the last gain", f"{spent.last_gain:.0%} of the search"))
    tables = [Table("Spent", ("what", "value"), rows, numbers=False)]
    if len(spent.gains) > 1:
        shown = spent.gains[-GAINS:]
        lines = [
            [
                duration(gain.hours * 3600.0) or "0 s",
                _figure(gain.score),
                "" if gain.gain is None else f"{gain.gain:.4g}",
                "" if gain.gain is None else duration(gain.spent * 3600.0),
                "" if gain.rate is None else f"{gain.rate:.3g}",
            ]
            for gain in shown
        ]
        columns = ("after", contents.record.goal, "gain", "time for it", "gain an hour")
        left = len(spent.gains) - len(shown)
        note = f"The first {left} gains are left out." if left else ""
        tables.append(Table("Cost of each gain", columns, lines, note))
    return tables


def model_section(evaluation: EvaluationFigures, panels: Sequence[Panel]) -> PageSection:
    """Return the section about a model: its scores beside the baselines, charts, files."""
    rows = [
        [
            str(row["name"]),
            _figure(row["value"]),
            "" if row["interval"] is None else "{:.4g} to {:.4g}".format(*row["interval"]),
            *(_figure(row["others"].get(name)) for name in evaluation.baselines),
        ]
        for row in evaluation.metrics
    ]
    columns = ("metric", evaluation.of, "95 % interval", *evaluation.baselines)
    return PageSection(
        "Model",
        tables=[Table("Scores", columns, rows, " ".join(f"{n}." for n in evaluation.notes))],
        panels=panels,
        pictures=evaluation.pictures,
        links=evaluation.files,
    )


def _ensemble(contents: StudyContents) -> list[PageSection]:
    """Return the section about the best ensemble of the trials, beside the best of them."""
    found = contents.ensemble
    if found is None:
        return []
    gain, best, metric = found["gain"], found["best"], found["metric"]
    interval = f"{gain['low']:+.4f} to {gain['high']:+.4f}"
    rows = [
        [f"best trial ({best['trial']} on all rows)", _figure(gain["single"]), ""],
        [f"ensemble of {len(found['members'])} trials", _figure(gain["ensemble"]), ""],
        ["difference", f"{gain['value']:+.4f}", interval],
    ]
    members = [
        [one["name"], _figure(one["score"]), f"{one['weight']:.2f}"]
        for one in sorted(found["members"], key=lambda one: -one["weight"])
    ]
    note = (
        f"On {gain['pictures']} validation rows that chose neither the trial nor the weights "
        f"(cross-fitted); the interval is paired. {' '.join(f'{n}.' for n in found['notes'])}"
    )
    better = gain["low"] > 0
    verdict = "The ensemble is better." if better else "The best trial may do as well alone."
    return [
        PageSection(
            "Ensemble",
            lead=verdict,
            tables=[
                Table("Ensemble and best trial", ("", metric, "95 % interval"), rows, note),
                Table("Members", ("trial", metric, "weight"), members),
            ],
            commands=[Command(*_next_of_ensemble(contents, found))],
        )
    ]


def _next_of_ensemble(contents: StudyContents, found: Mapping[str, Any]) -> tuple[str, str]:
    """Return what to do with an ensemble, and the command: make it, or predict with it."""
    if found.get("folder"):
        return "Predict with it:", f"tunewright predict {shlex.quote(found['folder'])} --data DIR"
    study = dict(contents.facts).get("folder", contents.record.name)
    lacking = sum(not one.get("has_weights") for one in found["members"])
    purpose = "Make it:"
    if lacking:
        purpose = (
            f"Make one of the trials that kept weights ({lacking} of these did not; "
            "study.keep_weights keeps more):"
        )
    return purpose, f"tunewright ensemble {shlex.quote(study)}"


def _failures(contents: StudyContents) -> list[PageSection]:
    if not contents.failures:
        return []
    rows = [
        [one.cause, one.reason, str(len(one.trials)), ", ".join(map(str, one.trials[:20]))]
        for one in contents.failures
    ]
    logs = [
        Log(f"log of trial {one.trials[0]}: {one.cause}", "\n".join(one.lines))
        for one in contents.failures
        if one.lines
    ]
    table = Table("Causes", ("cause", "reason", "count", "trials"), rows, numbers=False)
    return [PageSection("Failures", tables=[table], logs=logs)]


def _about(contents: StudyContents) -> PageSection:
    return PageSection(
        "About", tables=[Table("", ("what", "value"), contents.facts, numbers=False)]
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
