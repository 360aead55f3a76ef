"""Measure a trained run on patients that are not its own: other data."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.errors import DataError
from tunewright.images.dataset.content_hash import content_keys
from tunewright.images.dataset.value_range import dark_notices
from tunewright.images.image_table import PicturePlace
from tunewright.images.loading.store import build_store
from tunewright.images.sources.build_table import some
from tunewright.recipes.retina.data.datasets import EyeSets, keep_readable
from tunewright.recipes.retina.data.eye_table import EyeTable
from tunewright.recipes.retina.data.open_eyes import open_eyes
from tunewright.recipes.retina.evaluation.evaluate import Measurement, load_best, measure, open_run
from tunewright.recipes.retina.setup import image_size, make_task, open_recipe
from tunewright.training.device import default_device


def evaluate_on(path: Path, data: Path, on_message: Callable[[Any], None]) -> dict[str, Any]:
    """Measure the run in `path` on patients in any layout that can be trained on.

    Of a source with splits the test set is measured, else all of it. A table without pictures
    beside it names patients of the run's own data. Classes are found by their names; patients of
    classes that the run does not know are left out of classification, and named. Writes
    `evaluation-NAME.json` and `confusion-NAME.html` into the run's folder, where NAME is that of
    the data and a part of the hash of its path, and returns the content of the JSON. on_message:
    called with a tuple (what is being done, how much is done, of how much). Raises DataError for
    data without patients, or with none of the run's classes.
    """
    run = open_run(path)
    device = default_device()
    own = open_recipe(run.config, device, run.tokenizer)
    load_best(own, run)

    def progress(what: str) -> Callable[[int, int], None]:
        return lambda done, total: on_message((what, done, total))

    other = open_eyes(
        data,
        class_names=None,
        known=_pictures_of(own.sets),
        on_progress=progress("reading patients"),
    )
    table, notes = _measured_rows(other, own.sets.train, data)
    store = build_store(
        table.pictures,
        image_size(run.config),
        on_progress=progress("decoding pictures"),
        skip_bad=run.config.data.skip_bad,
    )
    table = keep_readable(table, store.rows_of)
    task = make_task(run.config, table, own.tokenizer, device)
    shown = replace(own, store=store, task=task)
    notes += [*store.notices, *_seen_notes(own.sets, table)]
    named = {"split": data.name, "data": str(data)}
    return measure(Measurement(run, shown, table, own), named, _suffix(data), notes)


def _pictures_of(sets: EyeSets) -> dict[str, PicturePlace]:
    """Return the pictures of a run's patients as PATIENT_left and PATIENT_right."""
    parts = [part for part in (sets.train, sets.valid, sets.test) if part is not None]
    return {
        f"{patient}_{side}": part.pictures.places[at]
        for part in parts
        for patient, eyes in zip(part.patients, part.eyes.tolist(), strict=True)
        for side, at in zip(("left", "right"), eyes, strict=True)
        if at >= 0
    }


def _measured_rows(other: EyeTable, train: EyeTable, data: Path) -> tuple[EyeTable, list[str]]:
    """Return the patients to measure with labels as the run numbers them, and notes."""
    notes = [*other.notices, *dark_notices(other.pictures, data)]
    splits = np.array(other.splits or ())
    if (splits == "test").any():
        other = other.take(np.flatnonzero(splits == "test"))
    elif len(splits):
        notes.append(f"{data} has no test set: all its {len(other):,} patients are measured")
    if not train.classes or not other.classes:
        empty = np.full((len(other), len(train.classes)), -1, dtype=np.int64)
        return _with_labels(other, train, empty), notes
    column = {name: at for at, name in enumerate(other.classes)}
    column = {name: at for at, name in enumerate(other.names)} | column
    found = [
        column.get(name, column.get(train.class_names.get(name, name))) for name in train.classes
    ]
    known = [at for at in found if at is not None]
    if not known:
        raise DataError(
            f"{data} has the classes {some(other.classes)}",
            expected=f"some of those that the run was trained on: {some(train.classes)}",
        )
    labels = np.zeros((len(other), len(train.classes)), dtype=np.int64)
    for at, place in enumerate(found):
        if place is not None:
            labels[:, at] = other.labels[:, place]
    strange = [name for at, name in enumerate(other.classes) if at not in known]
    without = (other.labels[:, 0] < 0) | (train.single & (labels.max(axis=1) < 1))
    labels[without] = -1
    if strange:
        counts = dict(zip(other.classes, other.counts.tolist(), strict=True))
        shown = some([f"{name}: {counts[name]:,}" for name in strange])
        notes.append(
            f"{len(strange):,} classes are unknown to the run and left out ({shown}); "
            f"{int(without.sum()):,} of {len(other):,} patients count in retrieval only"
        )
    return _with_labels(other, train, labels), notes


def _with_labels(other: EyeTable, train: EyeTable, labels: Any) -> EyeTable:
    return replace(
        other,
        labels=labels,
        classes=train.classes,
        class_names=train.class_names,
        single=train.single,
    )


def _seen_notes(sets: EyeSets, table: EyeTable) -> list[str]:
    """Return a note on photographs that the run was trained on."""
    of_train = content_keys(sets.train.pictures)
    trained = {of_train[at] for at in sets.train.eyes.reshape(-1).tolist() if at >= 0}
    keys = content_keys(table.pictures)
    seen = sum(any(at >= 0 and keys[at] in trained for at in eyes) for eyes in table.eyes.tolist())
    if not seen:
        return []
    return [
        f"{seen:,} of {len(table):,} patients have a photograph that the run was trained on: the "
        "scores are too good"
    ]


def _suffix(data: Path) -> str:
    digest = blake2b(str(data).encode("utf-8", "surrogateescape"), digest_size=3)
    return f"-{data.stem[:40]}-{digest.hexdigest()}"
