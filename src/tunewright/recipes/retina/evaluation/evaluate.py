"""Measure a trained run: retrieval, zero-shot classes, baselines, with intervals by patient."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tunewright.analysis.score_intervals import interval_methods
from tunewright.classification.metrics.confusion_scores import ConfusionCounts, confusion_matrix
from tunewright.config.check import validate
from tunewright.images.dataset.select_split import select_split
from tunewright.recipes.retina.config import RetinaConfig
from tunewright.recipes.retina.data.eye_table import EyeTable
from tunewright.recipes.retina.evaluation.baselines import linear_probe, majority
from tunewright.recipes.retina.evaluation.eye_metrics import (
    EyeMetrics,
    Floats,
    Ints,
    ScoredPatients,
    classification_scores,
    paired_differences,
)
from tunewright.recipes.retina.evaluation.ranking_scores import auroc, average_precision
from tunewright.recipes.retina.evaluation.zero_shot_prompts import class_sentences
from tunewright.recipes.retina.setup import TOKENIZER, OpenedRecipe, open_recipe
from tunewright.reports.classification import write_confusion
from tunewright.reports.figures import write_curves
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.training.checkpoint import load_weights
from tunewright.training.device import default_device
from tunewright.training.trainer import run_evaluation

PANELS = {
    "loss, and that of chance": ["train_loss", "train_chance"],
    "zero-shot on the validation set": [
        "val_accuracy", "val_balanced_accuracy", "val_macro_f1", "val_mean_auroc",
    ],
    "recall on the validation set": ["val_i2t_r1", "val_t2i_r1", "val_i2t_r10", "val_t2i_r10"],
    "temperature": [
        "train_patient_temperature", "train_left_temperature", "train_right_temperature",
    ],
}  # fmt: skip
FEW_PIXELS = 8
"""Side of the pictures of the image-only probe."""


def evaluate(path: Path, split: str | None = None) -> dict[str, Any]:
    """Measure the run in `path` on a split (default: test if there is one) and write the results.

    Writes `evaluation.json`, `curves.html` and, with one label a patient, `confusion.html`; for
    another split `evaluation-valid.json` and so on. Returns the content of the JSON with the names
    of the files. Intervals are 95 % bootstrap intervals by patient.
    """
    folder = RunFolder(path)
    config = validate(folder.read_config(), RetinaConfig)
    device = default_device()
    opened = open_recipe(config, device, read_json(folder.path / TOKENIZER))
    table, name = select_split(opened.sets, split)
    opened.model.load_state_dict(load_weights(folder.checkpoints / "best.safetensors"))
    opened.model.to(device).eval()
    metrics = _pass(opened, table)
    scores = metrics.compute()
    intervals = metrics.intervals()
    for metric in ("recall_1", "mean_recall"):
        if (ends := metrics.interval(metric)) is not None:
            intervals[metric] = ends
    result: dict[str, Any] = {
        "split": name,
        "patients": len(table),
        "metrics": scores,
        **{f"{metric}_interval": list(ends) for metric, ends in intervals.items()},
        "interval_methods": interval_methods(scores, intervals),
    }
    main = split is None or name == "test"  # other splits must not overwrite the test's files
    suffix = "" if main else f"-{name}"
    files = [folder.path / f"evaluation{suffix}.json", folder.path / "curves.html"]
    write_curves(read_progress(folder.progress), PANELS, files[1])
    patients = metrics.scored()
    if patients is not None:
        confusion_file = folder.path / f"confusion{suffix}.html"
        files += _add_classes(opened, table, metrics, patients, result, confusion_file)
    result["notes"] = _notes(opened, result)
    result["files"] = [file.name for file in files]
    write_json(files[0], result)
    return result


def _pass(opened: OpenedRecipe, table: EyeTable) -> EyeMetrics:
    """Return the collector after one pass over a set."""
    batches = opened.batches(table, default_device(), training=False)
    metrics = run_evaluation(opened.task, opened.model, batches)
    assert isinstance(metrics, EyeMetrics)
    return metrics


def _add_classes(
    opened: OpenedRecipe,
    measured: EyeTable,
    metrics: EyeMetrics,
    patients: ScoredPatients,
    result: dict[str, Any],
    confusion_file: Path,
) -> list[Path]:
    """Add what concerns classes to the result, and return the files that were written."""
    table, config = opened.sets.train, opened.config
    result["per_class"] = _class_rows(table, patients)
    result["baselines"], result["above_baselines"] = {}, {}
    kept = metrics.column("seen") & (metrics.column("labels")[:, 0] >= 0)
    others = {
        "majority class": majority(table.labels, patients),
        "image-only probe": _image_only_probe(opened, measured, patients, kept),
        "linear probe": _linear_probe(opened, metrics, patients),
    }
    for name, other in others.items():
        if other is not None:
            result["baselines"][name] = classification_scores(other)
            result["above_baselines"][name] = paired_differences(patients, other)
    sentences = class_sentences(config.zero_shot, table.classes, table.class_names)
    result["prompts"] = dict(zip(table.classes, sentences, strict=True))
    if not patients.single:
        return []
    confusion = confusion_matrix(patients.truth, patients.predictions, len(table.classes))
    result["confusion"] = confusion.tolist()
    write_confusion(confusion.tolist(), table.names, confusion_file)
    return [confusion_file]


def _class_rows(table: EyeTable, patients: ScoredPatients) -> list[dict[str, Any]]:
    """Return one row for each class; what an absent class cannot have is null."""
    rows: list[dict[str, Any]] = []
    for label, name in enumerate(table.names):
        positive, scores = patients.labels[:, label], patients.scores[:, label]
        rows.append(
            {
                "class": name,
                "train_rows": int(table.counts[label]),
                "n": int(positive.sum()),
                "auroc": auroc(positive, scores),
                "aupr": average_precision(positive, scores),
            }
        )
    if patients.single:
        confusion = confusion_matrix(patients.truth, patients.predictions, len(table.classes))
        counts = ConfusionCounts.of(confusion)
        for row, recall, precision, f1 in zip(
            rows, counts.recall, counts.precision, counts.f1, strict=True
        ):
            row |= {"recall": float(recall), "precision": float(precision), "f1": float(f1)}
            if not row["n"]:
                row["recall"] = None
    return rows


def _linear_probe(
    opened: OpenedRecipe, metrics: EyeMetrics, patients: ScoredPatients
) -> ScoredPatients | None:
    """Return the scores of a linear probe on the patients' image vectors."""
    passes = [_pass(opened, table) for table in (opened.sets.train, opened.sets.valid)]
    train, valid = ((_image_vectors(found), _labels(found)) for found in passes)
    kept = metrics.column("seen") & (metrics.column("labels")[:, 0] >= 0)
    tested = metrics.column("images")[kept].double().cpu().numpy()
    return linear_probe(train, valid, (tested, patients))


def _image_only_probe(
    opened: OpenedRecipe, table: EyeTable, patients: ScoredPatients, kept: Tensor
) -> ScoredPatients | None:
    """Return the scores of a linear probe on pictures of a few pixels, which no text has shaped."""
    parts = []
    for part in (opened.sets.train, opened.sets.valid, table):
        batches = opened.batches(part, torch.device("cpu"), training=False)
        labels, seen = batches.columns.labels.numpy(), batches.seen.numpy()
        few = [
            torch.cat([_few_pixels(batch.left), _few_pixels(batch.right)], dim=1)
            for batch in batches.epoch(0)
        ]
        parts.append((torch.cat(few).double().numpy(), labels, seen))
    train, valid = ((pixels[seen], labels[seen]) for pixels, labels, seen in parts[:2])
    return linear_probe(train, valid, (parts[2][0][kept.cpu().numpy()], patients))


def _few_pixels(pictures: Tensor) -> Tensor:
    return nn.functional.adaptive_avg_pool2d(pictures, FEW_PIXELS).flatten(1)


def _image_vectors(found: EyeMetrics) -> Floats:
    vectors: Floats = found.column("images")[found.column("seen")].double().cpu().numpy()
    return vectors


def _labels(found: EyeMetrics) -> Ints:
    labels: Ints = found.column("labels")[found.column("seen")].cpu().numpy()
    return labels


def _notes(opened: OpenedRecipe, result: Mapping[str, Any]) -> list[str]:
    """Return what the figures must be read with."""
    scores, notes = result["metrics"], []
    if "i2t_gallery" in scores:
        notes.append(
            f"retrieval among {scores['t2i_gallery']:,.0f} patients and "
            f"{scores['i2t_gallery']:,.0f} distinct reports; equal reports are no mistakes"
        )
    compared = "balanced_accuracy" if "balanced_accuracy" in scores else "mean_auroc"
    for name, gains in result.get("above_baselines", {}).items():
        if (gain := gains.get(compared)) is None:
            continue
        verdict = (
            "tied with"
            if gain["low"] <= 0 <= gain["high"]
            else ("better than" if gain["value"] > 0 else "worse than")
        )
        notes.append(
            f"zero-shot is {verdict} the {name}: {compared} {gain['value']:+.3f} "
            f"({gain['low']:+.3f} to {gain['high']:+.3f}, paired, by patient)"
        )
    if compared == "balanced_accuracy" and compared in scores:
        classes = sum(1 for row in result["per_class"] if row["n"])
        high = result.get(f"{compared}_interval", [0.0, 1.0])[1]
        if high < 1 / max(classes, 1):
            notes.append(
                f"{compared} is clearly below chance ({1 / classes:.3f} for {classes} classes): "
                "check that each class has its own prompts"
            )
    absent = [row["class"] for row in result.get("per_class", ()) if not row["n"]]
    if absent:
        notes.append(f"no patient has {', '.join(absent)}: left out of the means over classes")
    if opened.config.data.dir is None:
        notes.append("measured on drawings by the recipe, which say nothing about photographs")
    return notes
