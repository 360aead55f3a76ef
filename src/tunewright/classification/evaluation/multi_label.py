"""Evaluate a classifier of several labels a picture: scores, labels, calibration, mistakes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tunewright.analysis.score_intervals import baseline_notes, interval_methods
from tunewright.classification.evaluation.baselines import label_baselines
from tunewright.classification.evaluation.mistake_sheet import Mistake, draw_mistakes
from tunewright.classification.evaluation.split_logits import split_logits
from tunewright.classification.inference.cached_logits import validation_labels, validation_logits
from tunewright.classification.inference.ensemble import Blend, yes_or_no
from tunewright.classification.inference.label_thresholds import find_thresholds
from tunewright.classification.metrics.calibration import (
    Calibration,
    calibrate,
    calibration_notes,
    temperature,
)
from tunewright.classification.metrics.multi_label import (
    Bools,
    Floats,
    bootstrap_label_scores,
    label_rows,
    label_scores,
    map_difference,
)
from tunewright.classification.metrics.thresholds import FEWEST, Thresholds
from tunewright.images.dataset.select_split import select_split
from tunewright.images.image_table import ImageTable
from tunewright.images.sources.build_table import some
from tunewright.reports.classification import write_reliability
from tunewright.reports.figures import write_curves
from tunewright.reports.labels import write_labels, write_precision_recall
from tunewright.runs.atomic import write_json
from tunewright.runs.callbacks import OnProgress
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier

PANELS = {
    "training loss, as configured": ["train_loss"],
    "validation loss, plain binary cross-entropy": ["val_loss"],
    "ranking on the validation set": ["val_map", "val_macro_auroc"],
    "labels at probability 0.5": ["val_macro_f1", "val_micro_f1", "val_exact_match"],
}
WORST = 24
"""Number of mistakes drawn."""
RANKING = ("map", "macro_auroc")
"""Scores that need no threshold, which baselines do not have."""


def evaluate_labels(
    classifier: "Classifier",
    folder: RunFolder,
    split: str | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Measure a classifier of several labels on a split, as `evaluation.evaluate` does of one.

    Writes `evaluation.json`, `labels.html`, `precision_recall.html`, `reliability.html`,
    `curves.html` and `mistakes.png`, with the split's name as there. F1 scores, exact match and
    Hamming loss are those at the thresholds that are chosen on the validation set.
    """
    table, name = select_split(classifier.sets, split)
    logits, labels = split_logits(classifier, table, name, on_progress)
    targets, scores = labels.numpy().astype(np.bool_), logits.double().numpy()
    thresholds, notes = find_thresholds(Blend((classifier,)), folder.path)
    names = classifier.sets.train.names
    result: dict[str, Any] = {
        "split": name,
        "images": len(table),
        "classes": len(classifier.classes),
        **measure_labels(classifier, names, targets, logits, thresholds),
    }
    found, above = {}, {}
    for other, theirs in label_baselines(classifier.sets.train, table).items():
        of_other = label_scores(targets, theirs, theirs >= 0.5)
        found[other] = {key: of_other[key] for key in RANKING if key in of_other}
        if "map" in of_other:
            above[other] = {"map": asdict(map_difference(targets, scores, theirs))}
    result["baselines"], result["above_baselines"] = found, above
    calibration, fitted_on = _calibration(classifier, logits, labels, name)
    result["calibration"] = {
        "temperature": calibration.temperature,
        "fitted_on": fitted_on,
        "before": {"ece": calibration.ece_before, "loss": calibration.nll_before},
        "after": {"ece": calibration.ece_after, "loss": calibration.nll_after},
    }
    result["notes"] = [
        *notes,
        *label_notes(classifier, result),
        *baseline_notes(result["above_baselines"], "map", "mean average precision"),
        *calibration_notes(result["calibration"], of="single labels"),
    ]
    main = split is None or name == "test"  # other splits do not overwrite the test's figures
    suffix = "" if main else f"-{name}"
    files = _draw(folder, table, (targets, scores), calibration, result, suffix)
    result["files"] = [f"evaluation{suffix}.json", *(file.name for file in files)]
    write_json(folder.path / f"evaluation{suffix}.json", result)
    return result


def measure_labels(
    classifier: "Classifier",
    names: Sequence[str],
    targets: Bools,
    logits: Tensor,
    thresholds: Thresholds,
) -> dict[str, Any]:
    """Return the scores with their intervals, and a row for each label.

    names: readable ones. targets: bool [N, C]. logits: [N, C].
    """
    scores = logits.double().numpy()
    probabilities = logits.double().sigmoid().numpy()
    chosen = thresholds.choose(probabilities)
    loss = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(targets).to(logits))
    values = {**label_scores(targets, scores, chosen), "loss": loss.item()}
    intervals = bootstrap_label_scores(targets, scores, chosen)
    counts = classifier.class_counts.tolist()
    rows = zip(
        classifier.classes,
        counts,
        thresholds.each,
        thresholds.own,
        label_rows(names, targets, scores, chosen),
        strict=True,
    )
    return {
        "metrics": values,
        **{f"{metric}_interval": list(ends) for metric, ends in intervals.items()},
        "interval_methods": interval_methods(values, intervals),
        "at_probability_half": label_scores(targets, scores, scores >= 0.0),
        "per_label": [
            {
                "label": label,
                **asdict(row),
                "train_pictures": count,
                "threshold": least,
                "own_threshold": own,
            }
            for label, count, least, own, row in rows
        ],
    }


def label_notes(classifier: "Classifier", result: Mapping[str, Any]) -> list[str]:
    """Return notes on the labels that are not measured, and on the thresholds."""
    rows, notes = result["per_label"], []
    absent = [row["name"] for row in rows if not row["pictures"]]
    if absent:
        notes.append(
            f"{len(absent):,} of {len(rows):,} labels have no picture here ({some(absent)}): they "
            "are left out of the means"
        )
    shared = [row["name"] for row in rows if not row["own_threshold"]]
    half = result["at_probability_half"]
    where = ", the pictures measured here: optimistic" if result["split"] == "valid" else ""
    common = (
        f"; {some(shared)} share one, since fewer than {FEWEST} pictures there have them"
        if shared and len(shared) < len(rows)
        else ""
    )
    if "micro_f1" in half:
        notes.append(
            f"labels are predicted from thresholds on that have the best F1 on the validation "
            f"set{where}{common}; from probability 0.5 on, micro F1 is {half['micro_f1']:.3f}"
        )
    return notes


def _calibration(
    classifier: "Classifier", logits: Tensor, labels: Tensor, name: str
) -> tuple[Calibration, str]:
    """Return how well the probability of a yes or no matches how often it is right."""
    said, truth = _cells(logits, labels)
    if name == "valid":
        return calibrate(said, truth), "valid, where it is also measured: optimistic"
    held = _cells(validation_logits(classifier)[0], validation_labels(classifier))
    return calibrate(said, truth, at=temperature(*held)), "valid"


def _cells(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return each label of each picture as a row of two classes: [N * C, 2], [N * C], 0 is yes."""
    return yes_or_no(logits).reshape(-1, 2), 1 - labels.long().reshape(-1)


def _draw(
    folder: RunFolder,
    table: ImageTable,
    measured: tuple[Bools, Floats],
    calibration: Calibration,
    result: Mapping[str, Any],
    suffix: str,
) -> list[Path]:
    """Write the figures and the sheet of mistakes; return the files written."""
    targets, scores = measured
    probabilities = 1.0 / (1.0 + np.exp(-scores))
    split = f"{result['split']} split, {result['images']} pictures"
    pages = ("labels", "precision_recall", "reliability")
    files = [folder.path / f"{name}{suffix}.html" for name in pages]
    write_label_figures(result["per_label"], targets, probabilities, files[:2], split)
    bins = {
        "before": [asdict(entry) for entry in calibration.before],
        f"at temperature {calibration.temperature:.2f}": [asdict(b) for b in calibration.after],
    }
    write_reliability(bins, files[2], title=f"{split}: each label a yes or no")
    curves = folder.path / "curves.html"
    write_curves(read_progress(folder.progress), PANELS, curves)
    if curves.exists():
        files.append(curves)
    picture = folder.path / f"mistakes{suffix}.png"
    title = f"{split}: the surest mistakes, label by label"
    if draw_mistakes(table, _worst(table, targets, probabilities, result), picture, title=title):
        files.append(picture)
    return files


def write_label_figures(
    rows: Sequence[Mapping[str, Any]],
    targets: Bools,
    probabilities: Floats,
    files: Sequence[Path],
    title: str,
) -> None:
    """Write the figures of the labels and their precision-recall curves into two files."""
    share = targets.mean(axis=0).tolist()
    write_labels(rows, share, files[0], title=f"{title}: average precision, 95 % intervals")
    write_precision_recall(rows, targets, probabilities, files[1], title=title)


def _worst(
    table: ImageTable, targets: Bools, probabilities: Floats, result: Mapping[str, Any]
) -> list[Mistake]:
    """Return the wrong labels with the highest confidence, each label of a picture by itself."""
    chosen = probabilities >= np.array([row["threshold"] for row in result["per_label"]])
    confidence = np.where(chosen, probabilities, 1.0 - probabilities)
    rows, labels = np.nonzero(chosen != targets)
    order = np.argsort(-confidence[rows, labels], kind="stable")[:WORST]
    found = []
    for row, label in zip(rows[order].tolist(), labels[order].tolist(), strict=True):
        yes, no = table.names[label], f"no {table.names[label]}"
        true, said = (yes, no) if targets[row, label] else (no, yes)
        sure = float(confidence[row, label])
        found.append(Mistake(row, true, said, sure, 1.0 - sure))
    return found
