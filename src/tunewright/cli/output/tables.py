"""Tables that commands print."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from tunewright.analysis.shares.importances import Importances, ParameterShare
from tunewright.cli.output.formatting import between, figure
from tunewright.runs.quantities import duration
from tunewright.runs.record import StudyRecord

EDGES = 4
"""Characters of the lines and spaces around a table's first column; one less for the others."""
PARAMETERS = 20
"""Most parameters that the table of importances shows."""
LEADING = 3
"""Most parameters that are named for a metric."""
METRICS = 8
"""Most metrics beside the goals that the table of trials shows."""


def evaluation_table(result: Mapping[str, Any]) -> Table:
    """Return a table of a run's metrics and those of its baselines."""
    baselines: Mapping[str, Mapping[str, float]] = result.get("baselines", {})
    counts = [
        f"{result[unit]:,} {unit}" for unit in ("pairs", "images", "patients") if unit in result
    ]
    where = str(result["split"]) + ("" if result.get("data") else " split")
    table = Table(title=", ".join([where, *counts]), min_width=60)
    table.add_column("metric")
    for name in ("this run", "95 % interval", *baselines):
        table.add_column(name, justify="right")
    for name, value in result["metrics"].items():
        interval = result.get(f"{name}_interval")
        within = between(value, interval) if interval else ""
        others = [figure(scores.get(name, "")) for scores in baselines.values()]
        table.add_row(name, figure(value), within, *others)
    return table


def pictures_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of bits, quality and seconds of each compressed picture."""
    table = Table(title="by picture")
    table.add_column("picture", overflow="fold")
    for name in ("pixels", "bpp", "estimated", "PSNR dB", "MS-SSIM", "encode", "decode"):
        table.add_column(name, justify="right")
    for row in rows:
        near = row.get("ms_ssim")
        table.add_row(
            row["name"],
            f"{row['width']} x {row['height']}",
            f"{row['bpp']:.4f}",
            f"{row['bpp_estimated']:.4f}",
            f"{row['psnr']:.2f}",
            "" if near is None else f"{near:.4f}",
            duration(row["encode_seconds"]),
            duration(row["decode_seconds"]),
        )
    return table


def classes_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of the figures of each class; recalls have 95 % intervals."""
    table = Table(title="by class")
    table.add_column("class", overflow="fold")
    for name in ("pictures", "recall", "95 % interval", "precision", "f1"):
        table.add_column(name, justify="right")
    for row in rows:
        within = row["recall_interval"]
        cells = ["-" if row[key] is None else figure(row[key]) for key in ("precision", "f1")]
        table.add_row(
            row["name"],
            f"{row['pictures']:,}",
            "-" if row["recall"] is None else figure(row["recall"]),
            "" if within is None else f"{figure(within[0])} .. {figure(within[1])}",
            *cells,
        )
    return table


def labels_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of the figures of each label, where a picture may have several."""
    table = Table(title="by label")
    table.add_column("label", overflow="fold")
    titles = ("pictures", "AP", "95 % interval", "AUROC", "from", "precision", "recall", "f1")
    for name in titles:
        table.add_column(name, justify="right")
    for row in rows:
        within = row["interval"]
        values = [row["average_precision"], row["auroc"]]
        average, auroc = ("-" if value is None else figure(value) for value in values)
        table.add_row(
            row["name"],
            f"{row['pictures']:,}",
            average,
            "" if within is None else f"{figure(within[0])} .. {figure(within[1])}",
            auroc,
            figure(row["threshold"]),
            *(figure(row[key]) if row["pictures"] else "-" for key in ("precision", "recall")),
            figure(row["f1"]) if row["pictures"] else "-",
        )
    return table


def trials_table(rows: Sequence[Mapping[str, Any]], paths: Sequence[str], width: int) -> Table:
    """Return the top trials, one per column, as many as fit in `width` characters."""
    metrics = list(dict.fromkeys(name for row in rows for name in row.get("metrics", {})))
    names = [*dict.fromkeys(metric for row in rows for metric in row["others"])]
    labels = ["trial", "score", "", "marked", *names, *metrics[:METRICS], "epochs", *paths]
    columns = [_trial_column(row, names, metrics[:METRICS], paths) for row in rows]
    left = width - max(map(len, labels)) - EDGES
    shown = 0
    for column in columns:
        left -= max(map(len, column)) + EDGES - 1
        if left < 0 and shown:
            break
        shown += 1
    table = Table(title="best trials")
    table.add_column("trial", min_width=max(map(len, labels)))
    for number, *_ in columns[:shown]:
        table.add_column(number, justify="right", no_wrap=True)
    for label, *cells in zip(labels[1:], *(column[1:] for column in columns[:shown]), strict=True):
        if label not in ("", "marked") or any(cells):
            style = "bold" if label == "score" else None
            table.add_row(label, *cells, style=style, end_section=label == "epochs")
    left_out = []
    if more := len(rows) - shown:
        left_out.append(f"{more} more trial{'s' * (more > 1)}: --wide or --json")
    if len(metrics) > METRICS:
        left_out.append(f"{len(metrics) - METRICS} more metrics: --json")
    table.caption = "\n".join(left_out) or None
    return table


def _trial_column(
    row: Mapping[str, Any], others: Sequence[str], metrics: Sequence[str], paths: Sequence[str]
) -> list[str]:
    """Return the cells of a trial, from its number to its values."""
    return [
        str(row["trial"]),
        "-" if row["score"] is None else figure(row["score"]),
        "tied" if row.get("tied") else "",
        _mark(row),
        *(figure(row["others"].get(metric, "-")) for metric in others),
        *(figure(row.get("metrics", {}).get(name, "-")) for name in metrics),
        str(row["epochs"]),
        *(figure(row["parameters"].get(path, "-")) for path in paths),
    ]


def _mark(row: Mapping[str, Any]) -> str:
    """Return `good` or `avoid` where the space marks the combination as such."""
    return "avoid" if "avoided" in row else "good" if "good" in row else ""


def front_table(record: StudyRecord) -> Table:
    """Return the Pareto front of several goals, sorted by the first goal."""
    table = Table(title="front: no trial is better in every goal")
    table.add_column("trial")
    for goal in record.goals:
        more = "more" if goal.direction == "max" else "less"
        table.add_column(f"{goal.metric} ({more} is better)", justify="right")
    for trial in record.front():
        scores = [trial.score, *(trial.others.get(goal.metric) for goal in record.others)]
        table.add_row(str(trial.number), *map(figure, scores))
    return table


def importance_table(importances: Mapping[str, float]) -> Table:
    """Return the importances of parameters, as bars."""
    table = Table(title="importance (PED-ANOVA)")
    table.add_column("parameter")
    table.add_column("share", justify="right")
    table.add_column("")
    for path, value in sorted(importances.items(), key=lambda item: -item[1]):
        table.add_row(path, f"{value:.2f}", "█" * round(30 * value))
    return table


def importance_details_table(found: Importances, goal: str) -> Table:
    """Return importances with their intervals. goal: the first one of the study."""
    metric = "" if found.metric == goal else f" for {found.metric}, {_way(found)} is better"
    table = Table(title=f"importance{metric} ({found.about})")
    good = found.method == "ped-anova"
    # A parameter that not all trials have is judged among those that do.
    trials = len({row.trials for row in found.parameters if row.share is not None}) > 1
    table.add_column("parameter")
    table.add_column("share", justify="right")
    table.add_column("95 % interval", justify="right")
    for title, shown in (("among good", good), ("trials", trials)):
        if shown:
            table.add_column(title, justify="right")
    table.add_column("")
    for row in found.parameters[:PARAMETERS]:
        if row.share is None:
            continue
        cells = [row.parameter, f"{row.share:.2f}", _ends(row)]
        cells += ["" if row.among_good is None else f"{row.among_good:.2f}"] if good else []
        cells += [str(row.trials)] if trials else []
        table.add_row(*cells, "█" * round(20 * row.share))
    return table


def other_importances_table(found: Sequence[Importances]) -> Table:
    """Return the most important parameters for each further metric."""
    table = Table(title="importance for other metrics")
    table.add_column("metric")
    table.add_column("most important parameters", overflow="fold")
    for one in found:
        rows = [row for row in one.parameters if row.share is not None]
        # A share whose interval begins at 0 may be chance.
        sure = [f"{row.parameter} {row.share:.2f}" for row in rows if row.low][:LEADING]
        table.add_row(one.metric, ", ".join(sure) or "none beyond chance")
    return table


def _ends(row: ParameterShare) -> str:
    return "" if row.low is None or row.high is None else f"{row.low:.2f} .. {row.high:.2f}"


def _way(found: Importances) -> str:
    return "more" if found.direction == "max" else "less"
