"""Open, split and check the pairs of eyes of a configuration. Imports without torch."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tunewright.errors import ConfigError, DataError
from tunewright.images.dataset.channel_bits import deep_colour_notices
from tunewright.images.dataset.content_hash import content_keys, joined_digest
from tunewright.images.dataset.splits import units_of
from tunewright.images.dataset.value_range import dark_notices
from tunewright.images.image_table import Indices
from tunewright.images.sources.build_table import some
from tunewright.recipes.retina.config import EyesConfig
from tunewright.recipes.retina.data import drawn
from tunewright.recipes.retina.data.eye_table import EyeTable
from tunewright.recipes.retina.data.open_eyes import open_eyes
from tunewright.recipes.retina.data.splits import hold_out_groups, sample_rows
from tunewright.runs.cache import cache_folder, make_once
from tunewright.runs.callbacks import OnProgress

PARTS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class EyeSets:
    """Train, validation and, if there is one, test: parts of one table, with one store.

    one_view: whether most patients show the same photograph on both sides.
    """

    train: EyeTable
    valid: EyeTable
    test: EyeTable | None
    one_view: bool
    notices: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the labels; empty where none are given."""
        return self.train.classes


@dataclass(frozen=True, eq=False)
class EyeParts:
    """The patients of a source by split, all of them; a split may be empty."""

    table: EyeTable
    parts: Mapping[str, EyeTable]
    one_view: bool
    notices: tuple[str, ...]


def open_eye_sets(data: EyesConfig, on_progress: OnProgress | None = None) -> EyeSets:
    """Find, split and check the patients of a configuration, without decoding pictures.

    Raises DataError as `open_parts` does, and for sets that are empty.
    """
    opened = open_parts(data, on_progress)
    parts, notices = dict(opened.parts), list(opened.notices)
    for name, most in (("train", data.train_rows), ("valid", data.valid_rows)):
        if most is not None:
            kept = sample_rows(parts[name].labels, most, data.split_seed)
            parts[name] = parts[name].take(kept)
    parts["train"] = _with_texts(parts["train"])
    train, valid, test = (parts[name] for name in PARTS)
    if not len(train) or not len(valid):
        if not len(train):
            remedy = "Add reports of patients in train."
        else:
            remedy = "Add patients." if data.val_split else "Set data.val_split."
        raise DataError(
            f"{opened.table.origin} leaves {len(train):,} patients with a report to train on and "
            f"{len(valid):,} to validate on",
            expected="some of each",
            remedy=remedy,
        )
    notices += _coverage(train, valid, test)
    return EyeSets(train, valid, test if len(test) else None, opened.one_view, tuple(notices))


def open_parts(data: EyesConfig, on_progress: OnProgress | None = None) -> EyeParts:
    """Find the patients of a configuration, and split them.

    Splits of the source are used as they are; missing ones are taken from train, by patient: all
    rows that share a patient or a photograph stay together. Raises DataError for splits that share
    either.
    """
    if data.dir is None:
        place = make_once(cache_folder() / "retina" / f"drawn-{_drawn_version()}", drawn.write_eyes)
    else:
        place = Path(data.dir)
    table = open_eyes(
        place, labels=data.labels, class_names=data.class_names, on_progress=on_progress
    )
    keys = content_keys(table.pictures, on_progress)
    notices = [*table.notices, *deep_colour_notices(table.pictures, place)]
    notices += dark_notices(table.pictures, place)
    one_view = _count_views(table, keys, notices)
    units = _units(table, keys)
    _refuse_leaks(table, keys)
    splits = _complete_splits(data, table, units, notices)
    parts = {name: table.take(np.flatnonzero(splits == name)) for name in PARTS}
    return EyeParts(table, parts, one_view, tuple(notices))


def facts(data: EyesConfig) -> Mapping[str, float]:
    """Return what spaces may refer to: rows (patients to train on), valid_rows, classes."""
    sets = open_eye_sets(data)
    return {
        "rows": len(sets.train),
        "valid_rows": len(sets.valid),
        "classes": len(sets.classes),
    }


def fingerprints(data: EyesConfig) -> Mapping[str, str]:
    """Return a hash of the content of train and valid: pictures, texts, labels."""
    sets = open_eye_sets(data)
    return {"train": table_hash(sets.train), "valid": table_hash(sets.valid)}


def table_hash(table: EyeTable) -> str:
    """Return a hash that is equal for equal patients, pictures, texts and labels, in order."""
    keys = content_keys(table.pictures)
    rows = []
    for row in range(len(table)):
        eyes = [keys[at] if at >= 0 else "" for at in table.eyes[row].tolist()]
        texts = [table.texts[at] if at >= 0 else "" for at in table.text_of[row].tolist()]
        rows.append("\t".join([*eyes, *texts, str(table.labels[row].tolist())]))
    return joined_digest((*table.classes, *rows))[:16]


def _drawn_version() -> str:
    return joined_digest([inspect.getsource(drawn)])[:8]


def _with_texts(table: EyeTable) -> EyeTable:
    return table.take(np.flatnonzero(table.text_of[:, 0] >= 0))


def _count_views(table: EyeTable, keys: Sequence[str], notices: list[str]) -> bool:
    """Return whether most patients show one photograph on both sides; tell how many do."""
    both = (table.eyes >= 0).all(axis=1)
    same = [keys[left] == keys[right] for left, right in table.eyes[both].tolist()]
    count = sum(same)
    if count:
        notices.append(
            f"degenerate: one view. {count:,} of {len(table):,} patients have the same photograph "
            "as left and right eye, so the patient branch sees no more than one eye"
            + ("; loss.branches=patient trains that branch alone" if 2 * count > len(same) else "")
        )
    return bool(2 * count > max(len(same), 1))


def _units(table: EyeTable, keys: Sequence[str]) -> Indices:
    """Return the number of what stays together: rows with a patient or a photograph in common."""
    columns = [
        tuple(keys[at] if at >= 0 else f"none {row}" for row, at in enumerate(side))
        for side in table.eyes.T.tolist()
    ]
    # A photograph may be the left eye of one row and the right eye of another, so each side is
    # listed once for itself and once in the other's place.
    rows = len(table)
    doubled = units_of((*table.patients, *table.patients), (*columns[0], *columns[1]))
    return units_of([str(n) for n in doubled[:rows]], [str(n) for n in doubled[rows:]])


def _refuse_leaks(table: EyeTable, keys: Sequence[str]) -> None:
    """Raise DataError for a patient or a photograph in two of the given splits."""
    if table.splits is None:
        return
    problems = []
    for what, owners in (("patients", _by_patient(table)), ("photographs", _by_key(table, keys))):
        torn = {name: rows for name, rows in owners.items() if len(_sides(table, rows)) > 1}
        if torn:
            shown = [
                f"{table.patients[rows[0]]!r} in {' and '.join(sorted(_sides(table, rows)))}"
                for rows in torn.values()
            ]
            problems.append(f"{len(torn):,} {what} stand in several splits ({some(shown)})")
    if problems:
        raise DataError(
            f"{table.origin} leaks: {', and '.join(problems)}",
            expected="each patient and each photograph in one split only",
            remedy="Move them to one side, or leave the column split out to have them split anew.",
        )


def _sides(table: EyeTable, rows: Sequence[int]) -> set[str]:
    assert table.splits is not None
    return {table.splits[row] for row in rows}


def _by_patient(table: EyeTable) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, patient in enumerate(table.patients):
        rows.setdefault(patient, []).append(row)
    return rows


def _by_key(table: EyeTable, keys: Sequence[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, eyes in enumerate(table.eyes.tolist()):
        for at in {at for at in eyes if at >= 0}:
            rows.setdefault(keys[at], []).append(row)
    return rows


def _complete_splits(
    data: EyesConfig, table: EyeTable, units: Indices, notices: list[str]
) -> "np.ndarray[tuple[int], np.dtype[np.str_]]":
    """Return the split of each row: those given, and what is held out of train."""
    if data.val_split + data.test_split >= 1:
        raise ConfigError(
            f"data.val_split = {data.val_split} and data.test_split = {data.test_split}",
            expected="less than 1 together",
        )
    splits = np.array(table.splits or ("train",) * len(table))
    share_left = 1.0
    for name, share in (("valid", data.val_split), ("test", data.test_split)):
        if (splits == name).any() or not share or (name == "test" and table.splits is not None):
            continue
        train = np.flatnonzero(splits == "train")
        _, own = np.unique(units[train], return_inverse=True)
        held = hold_out_groups(table.labels[train], own, share / share_left, data.split_seed)
        splits[train[held]] = name
        share_left -= share
        notices.append(
            f"{held.sum():,} of {len(table):,} patients are held out as {name} (data."
            f"{'val' if name == 'valid' else name}_split), whole patients only"
        )
    return splits


def _coverage(train: EyeTable, valid: EyeTable, test: EyeTable) -> list[str]:
    """Return notices on classes that a split lacks."""
    if not train.classes:
        return []
    counts = {n: t.counts for n, t in zip(PARTS, (train, valid, test), strict=True) if len(t)}
    lacking = [
        f"{train.names[c]} ({', '.join(f'{name} {n[c]}' for name, n in counts.items())})"
        for c in range(len(train.classes))
        if min(int(n[c]) for n in counts.values()) == 0
    ]
    if not lacking:
        return []
    return [
        f"{len(lacking):,} classes are missing in a split and are not measured there: "
        f"{some(lacking)}"
    ]


def keep_readable(table: EyeTable, rows_of: Indices) -> EyeTable:
    """Return the table with -1 for pictures that its store left out as unreadable.

    rows_of: int64 [pictures], below 0 for those; patients without any eye left are taken out.
    """
    eyes = np.where((table.eyes >= 0) & (rows_of[table.eyes] >= 0), table.eyes, -1)
    changed = replace(table, eyes=eyes)
    return changed.take(np.flatnonzero((eyes >= 0).any(axis=1)))
