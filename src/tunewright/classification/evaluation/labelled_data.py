"""Evaluate a trained classifier on labelled pictures that are not its own: other data."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunewright.analysis.score_intervals import interval_methods, wilson_notes
from tunewright.classification.classes_file import read_classes
from tunewright.classification.evaluation.evaluation import class_metrics, class_rows
from tunewright.classification.evaluation.multi_label import (
    label_notes,
    measure_labels,
    write_label_figures,
)
from tunewright.classification.inference.ensemble import Blend, is_multi_label
from tunewright.classification.inference.label_thresholds import find_thresholds
from tunewright.classification.inference.predict import predict_table
from tunewright.classification.metrics.class_groups import missing_metrics
from tunewright.errors import ConfigError, DataError
from tunewright.images.dataset.content_hash import content_keys
from tunewright.images.dataset.value_range import dark_notices
from tunewright.images.image_table import ImageTable
from tunewright.images.sources.build_table import some
from tunewright.images.sources.columns import columns_of_run
from tunewright.images.sources.open_source import open_table
from tunewright.reports.classification import write_classes, write_confusion
from tunewright.runs.atomic import write_json

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier


def evaluate_on(
    classifier: "Classifier", data: Path, on_message: Callable[[Any], None]
) -> dict[str, Any]:
    """Measure a classifier on a folder of classes, a zip or a labelled table.

    Of a source with splits the test set is measured, else all of it. Pictures of classes that the
    run does not know are left out of the figures, and named. Writes `evaluation-NAME.json`,
    `confusion-NAME.html` and `classes-NAME.html` into the run's folder, where NAME is that of the
    data and a part of the hash of its path, and returns the content of the JSON. Intervals are as
    in `evaluation.evaluate`. on_message: called with a tuple (what is being done, how much is done,
    of how much). Raises DataError for data without labels, or with none of the run's classes.
    """
    table, notes = _labelled_table(classifier, data)
    if is_multi_label(classifier):
        return _evaluate_labels_on(classifier, data, table, notes, on_message)
    labels, unknown = _known_labels(classifier, table)
    rows = np.flatnonzero(labels >= 0)
    if not len(rows):
        raise _nothing_known(classifier, data, table)
    known = replace(
        table.take(rows), labels=labels[rows], classes=classifier.classes, class_names={}
    )
    scores = predict_table(
        [classifier],
        known,
        lambda logits: logits[0][0],
        on_progress=lambda done, total: on_message(("predicting", done, total)),
    ).scores
    metrics = class_metrics(classifier, scores, torch.from_numpy(known.labels))
    values, intervals = metrics.compute(), metrics.intervals()
    stored = read_classes(classifier.folder)
    titles = {} if stored is None else stored.names
    names = [titles.get(one, one) for one in classifier.classes]
    counts = classifier.class_counts.cpu().numpy()
    result: dict[str, Any] = {
        "split": data.name,
        "data": str(data),
        "images": len(known),
        "classes": len(classifier.classes),
        "metrics": values,
        **{f"{metric}_interval": list(ends) for metric, ends in intervals.items()},
        "interval_methods": interval_methods(values, intervals),
        "unknown_classes": unknown,
        "per_class": class_rows(classifier, names, metrics),
        "confusion": metrics.confusion().tolist(),
        "unmeasured": missing_metrics(counts, known.counts),
    }
    result["notes"] = [
        *notes,
        *_unknown_note(unknown, len(table), values["accuracy"]),
        *_absent_note(names, known),
        *_seen_note(classifier, known),
        *wilson_notes(result["interval_methods"]),
    ]
    suffix = _suffix(data)
    folder, title = classifier.folder.path, f"{data.name}, {len(known)} pictures"
    files = [folder / f"{name}{suffix}.html" for name in ("confusion", "classes")]
    write_confusion(result["confusion"], names, files[0], title=title)
    write_classes(result["per_class"], files[1], title=f"{title}: recall with 95 % intervals")
    result["files"] = [f"evaluation{suffix}.json", *(file.name for file in files)]
    write_json(folder / f"evaluation{suffix}.json", result)
    return result


def _suffix(data: Path) -> str:
    digest = hashlib.blake2b(str(data).encode("utf-8", "surrogateescape"), digest_size=3)
    return f"-{data.stem[:40]}-{digest.hexdigest()}"


def _evaluate_labels_on(
    classifier: "Classifier",
    data: Path,
    table: ImageTable,
    notes: Sequence[str],
    on_message: Callable[[Any], None],
) -> dict[str, Any]:
    """Measure a classifier of several labels; writes `labels` and `precision_recall` figures."""
    of_class, unknown = _label_numbers(classifier, table)
    known = np.flatnonzero(of_class >= 0)
    if table.targets is None or not len(known):
        raise _nothing_known(classifier, data, table)
    targets = np.zeros((len(table), len(classifier.classes)), dtype=np.bool_)
    targets[:, of_class[known]] = table.targets[:, known]
    scores = predict_table(
        [classifier],
        table,
        lambda logits: logits[0][0],
        on_progress=lambda done, total: on_message(("predicting", done, total)),
    ).scores
    folder = classifier.folder.path
    thresholds, doubts = find_thresholds(Blend((classifier,)), folder)
    stored = read_classes(classifier.folder)
    titles = {} if stored is None else stored.names
    names = [titles.get(one, one) for one in classifier.classes]
    result: dict[str, Any] = {
        "split": data.name,
        "data": str(data),
        "images": len(table),
        "classes": len(classifier.classes),
        **measure_labels(classifier, names, targets, scores, thresholds),
        "unknown_classes": unknown,
    }
    strange = [f"{name}: {count:,}" for name, count in unknown.items()]
    left = f"{len(strange):,} labels are unknown to the run and left out ({some(strange)})"
    result["notes"] = [
        *notes,
        *doubts,
        *([left] if strange else []),
        *label_notes(classifier, result),
        *_seen_note(classifier, table),
    ]
    suffix = _suffix(data)
    files = [folder / f"{name}{suffix}.html" for name in ("labels", "precision_recall")]
    probabilities = scores.double().sigmoid().numpy()
    title = f"{data.name}, {len(table)} pictures"
    write_label_figures(result["per_label"], targets, probabilities, files, title)
    result["files"] = [f"evaluation{suffix}.json", *(file.name for file in files)]
    write_json(folder / f"evaluation{suffix}.json", result)
    return result


def _nothing_known(classifier: "Classifier", data: Path, table: ImageTable) -> DataError:
    return DataError(
        f"none of the classes of {data} is a class of {classifier.folder.path} "
        f"({some(table.classes)})",
        expected=f"some of {some(classifier.classes)}",
        remedy="Name the folders, or write the labels, as in the training data.",
    )


def _labelled_table(classifier: "Classifier", data: Path) -> tuple[ImageTable, list[str]]:
    """Return the pictures to measure, and notices on the source."""
    columns = columns_of_run(classifier.folder.read_config())
    table = open_table(data, group_by=None, columns=columns, fewest_classes=1)
    table = table.with_window(getattr(classifier, "window", None))
    notes = [*table.notices, *dark_notices(table, data)]
    if table.splits is not None and "test" in table.splits:
        test = table.take(np.array(table.splits) == "test")
        notes.append(f"{data} has splits: its test set of {len(test):,} pictures is measured")
        return test, notes
    if table.splits is not None:
        notes.append(f"{data} has splits and no test set: all of its pictures are measured")
    return table, notes


def _known_labels(
    classifier: "Classifier", table: ImageTable
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], dict[str, int]]:
    """Return the run's label of each picture, -1 for unknown classes, and these with counts."""
    of_class, unknown = _label_numbers(classifier, table)
    return of_class[table.labels], unknown


def _label_numbers(
    classifier: "Classifier", table: ImageTable
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], dict[str, int]]:
    """Return the run's number of each class of a table, -1 for unknown ones; these with counts.

    Classes may be written as the training data has them, or all as its readable names or category
    ids.
    """
    stored = read_classes(classifier.folder)
    number = {name: at for at, name in enumerate(classifier.classes)}
    spellings: list[Mapping[str, int]] = [number]
    if stored is not None:
        for names in (stored.names, stored.category_ids):
            spellings.append({text: number[one] for one, text in names.items() if one in number})
    best = max(spellings, key=lambda known: sum(name in known for name in table.classes))
    of_class = np.array([best.get(name, -1) for name in table.classes], dtype=np.int64)
    counts = table.counts
    unknown = {
        name: int(counts[at])
        for at, name in enumerate(table.classes)
        if of_class[at] < 0 and counts[at]
    }
    return of_class, unknown


def _unknown_note(unknown: Mapping[str, int], pictures: int, accuracy: float) -> list[str]:
    if not unknown:
        return []
    left = sum(unknown.values())
    share = accuracy * (pictures - left) / pictures
    return [
        f"{len(unknown):,} classes are unknown to the run and left out, with {left:,} of "
        f"{pictures:,} pictures ({some(f'{name}: {n:,}' for name, n in unknown.items())}); with "
        f"these pictures counted as wrong the accuracy is {share:.4g}"
    ]


def _absent_note(names: Sequence[str], table: ImageTable) -> list[str]:
    absent = [name for name, count in zip(names, table.counts, strict=True) if not count]
    if not absent:
        return []
    return [
        f"{len(absent):,} of {len(names):,} classes of the run have no picture here "
        f"({some(absent)}): nothing is measured of them"
    ]


def _seen_note(classifier: "Classifier", table: ImageTable) -> list[str]:
    """Return a note if some pictures were trained or validated on, as far as that is known."""
    try:
        sets = classifier.sets
        own = {*content_keys(sets.train), *content_keys(sets.valid)}
    except (DataError, ConfigError):
        return [
            "whether the run was trained on some of these pictures is not known: its data is gone"
        ]
    seen = sum(key in own for key in content_keys(table))
    if not seen:
        return []
    return [
        f"{seen:,} of {len(table):,} pictures are also in the run's training or validation set: "
        "the figures are too good"
    ]
