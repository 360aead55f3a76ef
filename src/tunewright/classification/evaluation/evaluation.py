"""Evaluate a trained classifier: metrics with intervals, baselines, calibration, mistakes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tunewright.analysis.score_intervals import baseline_notes, interval_methods, wilson_notes
from tunewright.classification.evaluation.baselines import baselines
from tunewright.classification.evaluation.class_frequencies import (
    at_frequencies,
    frequency_shift,
    shift_note,
)
from tunewright.classification.evaluation.mistake_sheet import Mistake, draw_mistakes
from tunewright.classification.evaluation.multi_label import evaluate_labels
from tunewright.classification.evaluation.split_logits import split_logits
from tunewright.classification.inference.cached_logits import validation_labels, validation_logits
from tunewright.classification.inference.ensemble import is_multi_label
from tunewright.classification.losses.logit_adjustment import adjusted_logits
from tunewright.classification.metrics.calibration import (
    Calibration,
    calibrate,
    calibration_notes,
    temperature,
)
from tunewright.classification.metrics.class_groups import coverage_notices, missing_metrics
from tunewright.classification.metrics.intervals import bootstrap_differences
from tunewright.classification.metrics.metrics import ClassMetrics
from tunewright.images.dataset.select_split import select_split
from tunewright.images.image_table import ImageTable
from tunewright.reports.classification import write_classes, write_confusion, write_reliability
from tunewright.reports.figures import write_curves
from tunewright.runs.atomic import write_json
from tunewright.runs.callbacks import OnProgress
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier

PANELS = {
    # Two axes: a training loss may be focal, smoothed or of mixed pictures.
    "training loss, as configured": ["train_loss"],
    "validation loss, plain cross-entropy": ["val_loss"],
    "accuracy on the validation set": ["val_accuracy", "val_macro_f1", "val_balanced_accuracy"],
    "frequent and rare classes": ["val_head_accuracy", "val_tail_accuracy"],
    "many, medium, few": ["val_many_accuracy", "val_medium_accuracy", "val_few_accuracy"],
}
WORST = 24
"""Number of mistakes drawn."""
COMPARED = ("accuracy", "macro_f1", "balanced_accuracy")


def evaluate(
    classifier: "Classifier",
    folder: RunFolder,
    split: str | None = None,
    *,
    logit_adjustment: float = 1.0,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Measure a classifier on a split (default: test if there is one) and write the files.

    Writes `evaluation.json`, `confusion.html`, `reliability.html`, `classes.html`, `curves.html`
    and `mistakes.png`; for another split that is asked for, `evaluation-train.json` and so on.
    Returns the content of the JSON with the files' names. Intervals are 95 %: bootstrap; Wilson's
    for recalls and for accuracies of 0 or 1. The temperature is fitted on the validation set.
    logit_adjustment: tau of the post-hoc correction that is shown beside the plain figures. Of
    several labels a picture see `multi_label.evaluate_labels`.

    Raises ConfigError for a split that does not exist, DataError for pictures that cannot be read.
    """
    if is_multi_label(classifier):
        return evaluate_labels(classifier, folder, split, on_progress=on_progress)
    table, name = select_split(classifier.sets, split)
    logits, labels = split_logits(classifier, table, name, on_progress)
    metrics = class_metrics(classifier, logits, labels)
    counts = classifier.class_counts.cpu().numpy()
    scores, intervals = metrics.compute(), metrics.intervals()
    result: dict[str, Any] = {
        "split": name,
        "images": len(table),
        "classes": len(classifier.classes),
        "metrics": scores,
        **{f"{metric}_interval": list(ends) for metric, ends in intervals.items()},
        "interval_methods": interval_methods(scores, intervals),
    }
    others = baselines(classifier.sets.train, table)
    found, above = {}, {}
    for other, said in others.items():
        one_hot = torch.nn.functional.one_hot(torch.from_numpy(said), len(counts)).double()
        theirs = class_metrics(classifier, one_hot, labels).compute()
        # A label alone says nothing about confidence.
        found[other] = {k: v for k, v in theirs.items() if k not in ("loss", "ece")}
        gains = bootstrap_differences(labels.numpy(), logits.argmax(1).numpy(), said, counts)
        above[other] = {k: asdict(gains[k]) for k in COMPARED if k in gains}
    result["baselines"] = found
    result["above_baselines"] = above
    calibration, fitted_on = _calibration(classifier, logits, labels, name)
    result["calibration"] = _calibration_row(calibration, fitted_on)
    result["logit_adjusted"] = _evaluate_adjusted(classifier, logits, labels, logit_adjustment)
    result["per_class"] = class_rows(classifier, classifier.sets.train.names, metrics)
    if name != "valid":
        result["class_frequencies"] = _beside_validation(classifier, table, metrics)
    result["confusion"] = metrics.confusion().tolist()
    result["unmeasured"] = missing_metrics(counts, table.counts)
    result["notes"] = _notes(classifier, table, result)
    main = split is None or name == "test"  # other splits do not overwrite the test's figures
    suffix = "" if main else f"-{name}"
    files = _draw(classifier, folder, table, metrics, calibration, result, suffix)
    result["files"] = [f"evaluation{suffix}.json", *(file.name for file in files)]
    write_json(folder.path / f"evaluation{suffix}.json", result)
    return result


def class_metrics(classifier: "Classifier", logits: Tensor, labels: Tensor) -> ClassMetrics:
    """Return the metrics of predictions. logits: [N, C]. labels: int64 [N]."""
    metrics = ClassMetrics(classifier.class_counts)
    rows = torch.arange(len(labels))
    metrics.update({"logits": logits, "labels": labels, "rows": rows})
    return metrics


def _calibration(
    classifier: "Classifier", logits: Tensor, labels: Tensor, name: str
) -> tuple[Calibration, str]:
    if name == "valid":
        return calibrate(logits, labels), "valid, where it is also measured: optimistic"
    held = validation_logits(classifier)[0]
    return calibrate(logits, labels, at=temperature(held, validation_labels(classifier))), "valid"


def _calibration_row(calibration: Calibration, fitted_on: str) -> dict[str, Any]:
    return {
        "temperature": calibration.temperature,
        "fitted_on": fitted_on,
        "before": {"ece": calibration.ece_before, "loss": calibration.nll_before},
        "after": {"ece": calibration.ece_after, "loss": calibration.nll_after},
    }


def _evaluate_adjusted(
    classifier: "Classifier", logits: Tensor, labels: Tensor, tau: float
) -> dict[str, Any]:
    """Return the scores after post-hoc logit adjustment, and how much higher they are."""
    counts = classifier.class_counts
    corrected = adjusted_logits(logits, counts, tau=tau)
    predictions = (labels.numpy(), corrected.argmax(1).numpy(), logits.argmax(1).numpy())
    gains = bootstrap_differences(*predictions, counts.cpu().numpy())
    return {
        "tau": tau,
        "metrics": class_metrics(classifier, corrected, labels).compute(),
        "above_plain": {name: asdict(gains[name]) for name in COMPARED if name in gains},
    }


def _beside_validation(
    classifier: "Classifier", table: ImageTable, metrics: ClassMetrics
) -> dict[str, Any]:
    """Compare the split's class frequencies with the validation set's; scores of both."""
    held = class_metrics(
        classifier, validation_logits(classifier)[0], validation_labels(classifier)
    ).compute()
    ours, valid = metrics.compute(), classifier.sets.valid.counts
    shift = frequency_shift(table.counts, valid)
    recalls = [row.recall for row in metrics.per_class()]
    both = {name: [ours[name], held[name]] for name in ("accuracy", "balanced_accuracy")}
    return {
        "compared_with": "valid",
        **asdict(shift),
        "differs": shift.differs,
        "accuracy_at_valid_frequencies": at_frequencies(recalls, table.counts, valid),
        **both,
    }


def class_rows(
    classifier: "Classifier", names: Sequence[str], metrics: ClassMetrics
) -> list[dict[str, Any]]:
    """Return the figures of each class, with the interval of its recall. names: readable ones."""
    return [
        {
            "class": classifier.classes[row.label],
            "name": names[row.label],
            "pictures": row.rows,
            "train_pictures": row.train_images,
            "said": row.predicted,
            "recall": row.recall if row.rows else None,
            "recall_interval": list(row.interval) if row.interval else None,
            "precision": row.precision if row.predicted else None,
            "f1": row.f1 if row.rows or row.predicted else None,
        }
        for row in metrics.per_class()
    ]


def _draw(
    classifier: "Classifier",
    folder: RunFolder,
    table: ImageTable,
    metrics: ClassMetrics,
    calibration: Calibration,
    result: Mapping[str, Any],
    suffix: str,
) -> list[Path]:
    """Write the figures and the sheet of mistakes; return the files written."""

    def place(name: str, kind: str) -> Path:
        return folder.path / f"{name}{suffix}.{kind}"

    split = f"{result['split']} split, {result['images']} pictures"
    names = classifier.sets.train.names
    files = [place("confusion", "html"), place("reliability", "html"), place("classes", "html")]
    write_confusion(result["confusion"], names, files[0], title=split)
    bins = {
        "before": [asdict(entry) for entry in calibration.before],
        f"at temperature {calibration.temperature:.2f}": [asdict(b) for b in calibration.after],
    }
    write_reliability(bins, files[1], title=split)
    write_classes(result["per_class"], files[2], title=f"{split}: recall with 95 % intervals")
    curves = folder.path / "curves.html"
    write_curves(read_progress(folder.progress), PANELS, curves)
    if curves.exists():
        files.append(curves)
    picture = place("mistakes", "png")
    worst = _worst(metrics, table)
    share = 1.0 - result["metrics"]["accuracy"]
    if draw_mistakes(
        table, worst, picture, title=f"{split}: its most confident mistakes ({share:.1%} are wrong)"
    ):
        files.append(picture)
    return files


def _worst(metrics: ClassMetrics, table: ImageTable) -> list[Mistake]:
    """Return the mistakes with the highest confidence."""
    probabilities, labels = metrics.logits().softmax(1), metrics.labels()
    confidence, said = probabilities.max(1)
    wrong = torch.nonzero(said != labels).flatten()
    order = wrong[confidence[wrong].argsort(descending=True, stable=True)][:WORST]
    return [
        Mistake(
            row,
            table.names[int(labels[row])],
            table.names[int(said[row])],
            float(confidence[row]),
            float(probabilities[row, labels[row]]),
        )
        for row in order.tolist()
    ]


def _notes(classifier: "Classifier", table: ImageTable, result: Mapping[str, Any]) -> list[str]:
    """Return notes that a reader of the figures needs."""
    counts = classifier.class_counts.cpu().numpy()
    notes = list(
        coverage_notices(counts, table.counts, classifier.sets.train.names, split=result["split"])
    )
    if (frequencies := result.get("class_frequencies", {})).get("differs"):
        notes.append(shift_note(result["split"], frequencies))
    notes += baseline_notes(result["above_baselines"], "accuracy", "accuracy")
    notes += calibration_notes(result["calibration"])
    adjusted = result["logit_adjusted"]
    gain = adjusted["above_plain"].get("balanced_accuracy")
    if gain is not None:
        verdict = "a tie" if gain["low"] <= 0 <= gain["high"] else "not a tie"
        notes.append(
            f"logit adjustment after training (tau {adjusted['tau']:g}): balanced accuracy "
            f"{gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f}, {verdict}), "
            f"accuracy {adjusted['above_plain']['accuracy']['value']:+.3f}"
        )
    return notes + wilson_notes(result["interval_methods"])
