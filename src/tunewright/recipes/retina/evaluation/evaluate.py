"""Measure a trained run: retrieval, zero-shot classes, baselines, with intervals by patient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from tunewright.recipes.retina.evaluation.notes import chance_notes, score_notes
from tunewright.recipes.retina.evaluation.ranking_scores import auroc, average_precision
from tunewright.recipes.retina.evaluation.starting_weights import (
    OpenedRun,
    measure_before,
    pass_over,
)
from tunewright.recipes.retina.evaluation.zero_shot_prompts import class_sentences
from tunewright.recipes.retina.setup import TOKENIZER, OpenedRecipe, open_recipe
from tunewright.reports.classification import write_confusion
from tunewright.reports.figures import write_curves
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.training.checkpoint import load_weights
from tunewright.training.device import default_device

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
    run = open_run(path)
    own = open_recipe(run.config, default_device(), run.tokenizer)
    table, name = select_split(own.sets, split)
    load_best(own, run)
    main = split is None or name == "test"  # other splits must not overwrite the test's files
    return measure(Measurement(run, own, table, own), {"split": name}, "" if main else f"-{name}")


@dataclass(frozen=True, eq=False)
class Measurement:
    """What is measured: the patients of a table, with the weights of a run.

    shown: the model with the pictures of the table. own: with those that it was trained on, for
    probes.
    """

    run: OpenedRun
    shown: OpenedRecipe
    table: EyeTable
    own: OpenedRecipe


def open_run(path: Path) -> OpenedRun:
    """Read what a run folder says about its model."""
    folder = RunFolder(path)
    config = validate(folder.read_config(), RetinaConfig)
    return OpenedRun(folder, config, read_json(folder.path / TOKENIZER))


def load_best(opened: OpenedRecipe, run: OpenedRun) -> None:
    """Load the best weights of a run into a model, ready to be measured."""
    opened.model.load_state_dict(load_weights(run.folder.checkpoints / "best.safetensors"))
    opened.model.to(default_device()).eval()


def measure(
    measured: Measurement, named: Mapping[str, Any], suffix: str, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Measure the patients of a table, write the results, and return what the JSON holds.

    named: what is measured, for the result. suffix: of the names of the files. notes: to be told
    with the figures.
    """
    folder, table = measured.run.folder, measured.table
    metrics = pass_over(measured.shown, table)
    scores = metrics.compute()
    intervals = metrics.intervals()
    for metric in ("recall_1", "mean_recall"):
        if (ends := metrics.interval(metric)) is not None:
            intervals[metric] = ends
    result: dict[str, Any] = {
        **named,
        "patients": len(table),
        "metrics": scores,
        **{f"{metric}_interval": list(ends) for metric, ends in intervals.items()},
        "interval_methods": interval_methods(scores, intervals),
        "baselines": {},
        "above_baselines": {},
    }
    files = [folder.path / f"evaluation{suffix}.json", folder.path / "curves.html"]
    history = read_progress(folder.progress)
    write_curves(history, PANELS, files[1])
    patients = metrics.scored()
    before = measure_before(measured.run, measured.shown, table)
    if patients is not None:
        confusion_file = folder.path / f"confusion{suffix}.html"
        files += _add_classes(measured, metrics, patients, result, confusion_file)
    if before.metrics is not None:
        _add_before(before.metrics, patients, result)
    result["notes"] = [
        *notes,
        *before.notes,
        *chance_notes(history),
        *score_notes(result, drawn=measured.run.config.data.dir is None and not named.get("data")),
    ]
    result["files"] = [file.name for file in files]
    write_json(files[0], result)
    return result


def _add_before(
    before: EyeMetrics, patients: ScoredPatients | None, result: dict[str, Any]
) -> None:
    """Add the scores of the weights that the training began from, and what it changed."""
    other = before.scored()
    found = before.compute()
    result["baselines"] = {"before training": found, **result["baselines"]}
    if patients is not None and other is not None:
        result["above_baselines"]["before training"] = paired_differences(patients, other)


def _add_classes(
    measured: Measurement,
    metrics: EyeMetrics,
    patients: ScoredPatients,
    result: dict[str, Any],
    confusion_file: Path,
) -> list[Path]:
    """Add what concerns classes to the result, and return the files that were written."""
    own, table = measured.own, measured.table
    result["per_class"] = _class_rows(table, patients, own.sets.train.counts)
    kept = metrics.column("seen") & (metrics.column("labels")[:, 0] >= 0)
    others = {
        "majority class": majority(own.sets.train.labels, patients),
        "image-only probe": _image_only_probe(measured, patients, kept),
        "linear probe": _linear_probe(own, metrics, patients),
    }
    for name, other in others.items():
        if other is not None:
            result["baselines"][name] = classification_scores(other)
            result["above_baselines"][name] = paired_differences(patients, other)
    sentences = class_sentences(measured.run.config.zero_shot, table.classes, table.class_names)
    result["prompts"] = dict(zip(table.classes, sentences, strict=True))
    if not patients.single:
        return []
    confusion = confusion_matrix(patients.truth, patients.predictions, len(table.classes))
    result["confusion"] = confusion.tolist()
    write_confusion(confusion.tolist(), table.names, confusion_file)
    return [confusion_file]


def _class_rows(
    table: EyeTable, patients: ScoredPatients, train_counts: Ints
) -> list[dict[str, Any]]:
    """Return one row for each class; what an absent class cannot have is null."""
    rows: list[dict[str, Any]] = []
    for label, name in enumerate(table.names):
        positive, scores = patients.labels[:, label], patients.scores[:, label]
        rows.append(
            {
                "class": name,
                "train_rows": int(train_counts[label]),
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
    passes = [pass_over(opened, table) for table in (opened.sets.train, opened.sets.valid)]
    train, valid = ((_image_vectors(found), _labels(found)) for found in passes)
    kept = metrics.column("seen") & (metrics.column("labels")[:, 0] >= 0)
    tested = metrics.column("images")[kept].double().cpu().numpy()
    return linear_probe(train, valid, (tested, patients))


def _image_only_probe(
    measured: Measurement, patients: ScoredPatients, kept: Tensor
) -> ScoredPatients | None:
    """Return the scores of a linear probe on pictures of a few pixels, which no text has shaped."""
    own, parts = measured.own, []
    for opened, part in (
        (own, own.sets.train),
        (own, own.sets.valid),
        (measured.shown, measured.table),
    ):
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
