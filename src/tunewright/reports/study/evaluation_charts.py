"""Charts of the final model, from the figures that its recipe's evaluation stored.

They are chosen by the names of the figures and not by recipe: whatever recipe stores scores by
class, a confusion matrix or rates and distortions has the chart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.reports.charts.chart import Chart, ChartAxis, Series
from tunewright.reports.classification import distinct
from tunewright.reports.figures import COLOURS
from tunewright.reports.study.contents import EvaluationFigures

CLASSES = 60
"""Classes that a chart shows at most: the most and the least frequent ones."""
GROUPS = ("head", "medium", "tail")
PAIRS = 12
"""Confused pairs that are listed."""
BLUE, RED, GREEN = COLOURS[0], COLOURS[1], COLOURS[2]


def evaluation_charts(evaluation: EvaluationFigures) -> list[Chart]:
    """Return the charts for which an evaluation has figures."""
    figures = evaluation.figures
    return [
        *_metrics_beside_baselines(evaluation),
        *_accuracy_by_frequency(evaluation),
        *_recall_by_class(figures.get("per_class") or ()),
        *_confused_pairs(figures.get("confusion"), figures.get("per_class") or ()),
        *_areas_by_class(figures.get("per_class") or ()),
        *_rate_distortion(figures),
    ]


def _metrics_beside_baselines(evaluation: EvaluationFigures) -> list[Chart]:
    """Show those metrics that are shares, with intervals, beside each baseline."""
    rows = [
        row
        for row in evaluation.metrics
        if row["interval"] and 0.0 <= row["value"] <= 1.0 and row["interval"][1] <= 1.0
    ][:12]
    if not rows or not evaluation.baselines:
        return []
    names = [row["name"] for row in rows][::-1]
    series = []
    for index, baseline in enumerate(evaluation.baselines):
        known = [row for row in rows if row["others"].get(baseline) is not None]
        series.append(
            Series(
                baseline,
                [row["others"][baseline] for row in known],
                [row["name"] for row in known],
                colour="pale" if index == 0 else COLOURS[(index + 1) % len(COLOURS)],
            )
        )
    series.append(
        Series(
            evaluation.of,
            [row["value"] for row in rows],
            [row["name"] for row in rows],
            colour=BLUE,
            size=9,
            across=True,
            low=[row["interval"][0] for row in rows],
            high=[row["interval"][1] for row in rows],
        )
    )
    height = 150 + 28 * len(names)
    return [
        Chart(
            "Beside the baselines", series, ChartAxis(), ChartAxis(categories=names), height=height
        )
    ]


def _accuracy_by_frequency(evaluation: EvaluationFigures) -> list[Chart]:
    """Show head, medium and tail classes beside each other, where all three are measured."""
    rows = {row["name"]: row for row in evaluation.metrics}
    found = [rows[f"{group}_accuracy"] for group in GROUPS if f"{group}_accuracy" in rows]
    if len(found) < len(GROUPS):
        return []
    ends = [row["interval"] or (None, None) for row in found]
    some = any(low is not None for low, _ in ends)
    points = Series(
        "",
        list(GROUPS),
        [row["value"] for row in found],
        colour=BLUE,
        size=9,
        low=[low for low, _ in ends] if some else (),
        high=[high for _, high in ends] if some else (),
    )
    x = ChartAxis("classes by training pictures", categories=GROUPS)
    return [Chart("Head, medium and tail", [points], x, ChartAxis("accuracy"), height=300)]


def _recall_by_class(rows: Sequence[Mapping[str, Any]]) -> list[Chart]:
    known = [row for row in rows if row.get("recall") is not None and "recall_interval" in row]
    if not known:
        return []
    ranked = sorted(known, key=lambda row: -row.get("train_pictures", 0))
    left_out = max(0, len(ranked) - CLASSES)
    if left_out:
        ranked = [*ranked[: CLASSES // 2], *ranked[-(CLASSES // 2) :]]
    names = distinct([str(row["name"]) for row in ranked])
    points = Series(
        "",
        names,
        [row["recall"] for row in ranked],
        colour=BLUE,
        low=[row["recall_interval"][0] for row in ranked],
        high=[row["recall_interval"][1] for row in ranked],
        texts=[
            f"{row['name']}: {row['recall']:.1%} of {row['pictures']} pictures, trained on "
            f"{row['train_pictures']}"
            for row in ranked
        ],
    )
    note = "The class with most training pictures comes first."
    note += f" {left_out} classes in the middle are left out." if left_out else ""
    x, y = ChartAxis("class", categories=names), ChartAxis("recall", limits=(0.0, 1.02))
    return [Chart("Recall by class", [points], x, y, note=note, wide=len(names) > 20)]


def _confused_pairs(
    counts: Sequence[Sequence[int]] | None, rows: Sequence[Mapping[str, Any]]
) -> list[Chart]:
    """Show which classes are most often taken for which."""
    if not counts or len(rows) != len(counts):
        return []
    names = [str(row.get("name", row.get("class"))) for row in rows]
    pairs = [
        (count, f"{names[true]} taken for {names[said]}")
        for true, row in enumerate(counts)
        for said, count in enumerate(row)
        if true != said and count
    ]
    worst = sorted(pairs, key=lambda pair: -pair[0])[:PAIRS][::-1]
    if not worst:
        return []
    labels = distinct([label for _, label in worst])
    bars = Series("", [count for count, _ in worst], labels, "bars", colour=RED, across=True)
    height = max(200, 110 + 24 * len(worst))
    axis = ChartAxis(categories=labels)
    return [Chart("Classes that are confused", [bars], ChartAxis("pictures"), axis, height=height)]


def _areas_by_class(rows: Sequence[Mapping[str, Any]]) -> list[Chart]:
    known = [row for row in rows if row.get("auroc") is not None]
    if not known:
        return []
    ranked = sorted(known, key=lambda row: row["auroc"])[-CLASSES:]
    names = distinct([f"{row['class']} (n = {row['n']})" for row in ranked])
    ends = [row.get("auroc_interval") or (None, None) for row in ranked]
    some = any(low is not None for low, _ in ends)
    points = Series(
        "",
        [row["auroc"] for row in ranked],
        names,
        colour=BLUE,
        across=True,
        low=[low for low, _ in ends] if some else (),
        high=[high for _, high in ends] if some else (),
    )
    x, y = ChartAxis("AUROC; chance is 0.5", limits=(0.0, 1.02)), ChartAxis(categories=names)
    return [Chart("AUROC by class", [points], x, y, height=max(220, 110 + 22 * len(names)))]


def _rate_distortion(figures: Mapping[str, Any]) -> list[Chart]:
    """Show bits and quality of each picture, and the mean curve of each classical codec."""
    pictures = figures.get("per_image") or ()
    if not pictures or "bpp" not in pictures[0]:
        return []
    series = []
    classical = figures.get("classical") or {}
    for index, (codec, curve) in enumerate(sorted(classical.items())):
        if "psnr" in curve:
            colour = COLOURS[(index + 2) % len(COLOURS)]
            name = f"{codec}, mean"
            series.append(Series(name, curve["bpp"], curve["psnr"], "line", colour=colour, size=2))
    series.append(
        Series(
            "this model, each picture",
            [row["bpp"] for row in pictures],
            [row["psnr"] for row in pictures],
            colour=BLUE,
            size=5,
            opacity=0.6,
            texts=[
                f"{row['name']}: {row['bpp']:.3f} bpp, {row['psnr']:.2f} dB" for row in pictures
            ],
        )
    )
    mean = [sum(row[name] for row in pictures) / len(pictures) for name in ("bpp", "psnr")]
    series.append(Series("this model, mean", mean[:1], mean[1:], colour=RED, size=11))
    x, y = ChartAxis("bits per pixel"), ChartAxis("PSNR, dB")
    return [Chart("Rate and distortion", series, x, y, wide=True)]
