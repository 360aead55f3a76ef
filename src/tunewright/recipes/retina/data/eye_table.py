"""The table that every layout is read into: patients, their two eyes, their reports, labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tunewright.errors import DataError
from tunewright.images.databases.lmdb_reader import is_database
from tunewright.images.image_table import ImageTable, Indices, PicturePlace
from tunewright.images.sources.build_table import SPLIT_WORDS, TableRow, in_order, some, table_of

BRANCHES = ("patient", "left", "right")
"""The parts of the model, in the order of all columns of three."""
ABSENT = -1
"""In place of the row of a photograph or of a text that a patient lacks."""


class EyeRecord(NamedTuple):
    """One patient as a source lists it.

    texts: the report on the patient, on the left and on the right eye; empty for none. labels: the
    names of the classes that the patient has; None where nothing is said. where: for messages.
    """

    patient: str
    left: PicturePlace | None
    right: PicturePlace | None
    texts: tuple[str, str, str]
    labels: tuple[str, ...] | None = None
    split: str | None = None
    where: str = ""


class ClassNaming(NamedTuple):
    """The classes of a source: in the order of the labels, and whether each row has just one."""

    classes: tuple[str, ...] | None = None
    single: bool = True


@dataclass(frozen=True, eq=False)
class EyeTable:
    """The patients of one source, or of a part of it; row i of every column is one visit.

    pictures: every photograph once. patients: a patient may have several rows. eyes: int64 [P, 2],
    the row of `pictures` of the left and the right eye, or -1. texts: distinct ones. text_of: int64
    [P, 3], the row of `texts` for patient, left and right eye, or -1; an eye without a text of its
    own has that of the patient, a patient without one those of both eyes. labels: int64 [P, C],
    1 for each label a patient has; -1 in rows without labels. single: each row has one label.
    per_eye: whether some eyes have texts of their own. splits: of the rows, where the source says.
    """

    origin: Path
    pictures: ImageTable
    patients: tuple[str, ...]
    eyes: Indices
    texts: tuple[str, ...]
    text_of: Indices
    labels: Indices
    classes: tuple[str, ...] = ()
    single: bool = True
    per_eye: bool = False
    splits: tuple[str, ...] | None = None
    class_names: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def names(self) -> tuple[str, ...]:
        """The readable name of each class."""
        return tuple(self.class_names.get(name, name) for name in self.classes)

    @property
    def labelled(self) -> Indices:
        """The rows that have labels."""
        if not self.classes:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self.labels[:, 0] >= 0)

    @property
    def counts(self) -> Indices:
        """The number of rows with each label: int64 [C]."""
        counts: Indices = self.labels[self.labelled].sum(axis=0)
        return counts

    def take(self, rows: Indices) -> "EyeTable":
        """Return the table of some rows, in that order; pictures and texts stay those of all."""
        order = np.arange(len(self))[rows]
        return replace(
            self,
            patients=tuple(self.patients[row] for row in order.tolist()),
            eyes=self.eyes[order],
            text_of=self.text_of[order],
            labels=self.labels[order],
            splits=None if self.splits is None else tuple(self.splits[r] for r in order.tolist()),
        )


def build_eye_table(
    origin: Path,
    records: Sequence[EyeRecord],
    naming: ClassNaming | None = None,
    *,
    class_names: Mapping[str, str] | None = None,
    notices: Sequence[str] = (),
) -> EyeTable:
    """Turn the records of a source into columns.

    Raises DataError for no records, a patient without any photograph, a split that only some rows
    have or that is unknown, and names of classes that do not exist.
    """
    naming = naming or ClassNaming()
    if not records:
        raise DataError(f"{origin} lists no patients", expected="at least one")
    bare = [record.where for record in records if record.left is None and record.right is None]
    if bare:
        raise DataError(
            f"{len(bare):,} of {len(records):,} patients of {origin} have no photograph "
            f"({some(bare)})",
            expected="a photograph of one eye at least",
            remedy="Add it, or take these rows out.",
        )
    pictures, eyes = _pictures_of(origin, records)
    texts, text_of = _texts_of(records)
    per_eye = any(record.texts[1].strip() or record.texts[2].strip() for record in records)
    classes, labels = _labels_of(records, naming)
    unknown = sorted(set(class_names or {}) - set(classes))
    if unknown:
        raise DataError(
            f"data.class_names names {some(unknown)}",
            expected=f"classes of {origin}: {some(classes) or 'it has none'}",
        )
    return EyeTable(
        origin,
        pictures,
        tuple(record.patient for record in records),
        eyes,
        texts,
        text_of,
        labels,
        classes,
        naming.single,
        per_eye,
        _splits_of(origin, records),
        dict(class_names or {}),
        (*notices, *_absences(records, text_of)),
    )


def _pictures_of(origin: Path, records: Sequence[EyeRecord]) -> tuple[ImageTable, Indices]:
    row_of: dict[PicturePlace, int] = {}
    for record in records:
        for place in (record.left, record.right):
            if place is not None:
                row_of.setdefault(place, len(row_of))
    eyes = [
        [ABSENT if place is None else row_of[place] for place in (record.left, record.right)]
        for record in records
    ]
    rows = [TableRow(_id_of(place, origin), place) for place in row_of]
    return table_of(origin, rows, labelled=False), np.array(eyes, dtype=np.int64)


def _id_of(place: PicturePlace, origin: Path) -> str:
    if place.member is not None:
        # Each split of an LMDB has a file of its own, with keys of its own.
        inside = place.file.parent if is_database(place.file) else None
        return place.member if inside is None else f"{_short(inside, origin)}/{place.member}"
    return _short(place.file, origin)


def _short(path: Path, origin: Path) -> str:
    return str(path).removeprefix(f"{origin}/")


def complete_texts(texts: tuple[str, str, str]) -> tuple[str, str, str]:
    """Return patient, left and right text; what is missing is taken from the others.

    ("", "drusen", "normal") becomes ("drusen; normal", "drusen", "normal"), and ("normal", "", "")
    becomes three times "normal". An eye without a text of its own, whose fellow has one, has that
    of the patient.
    """
    patient, left, right = (" ".join(text.split()) for text in texts)
    patient = patient or "; ".join(dict.fromkeys(text for text in (left, right) if text))
    return patient, left or patient, right or patient


def _texts_of(records: Sequence[EyeRecord]) -> tuple[tuple[str, ...], Indices]:
    row_of: dict[str, int] = {}
    rows = []
    for record in records:
        complete = complete_texts(record.texts)
        rows.append([row_of.setdefault(t, len(row_of)) if t else ABSENT for t in complete])
    return tuple(row_of), np.array(rows, dtype=np.int64)


def _labels_of(
    records: Sequence[EyeRecord], naming: ClassNaming
) -> tuple[tuple[str, ...], Indices]:
    found = {name for record in records for name in record.labels or ()}
    classes = naming.classes or in_order(found)
    column = {name: at for at, name in enumerate(classes)}
    labels = np.full((len(records), len(classes)), -1, dtype=np.int64)
    for row, record in enumerate(records):
        if record.labels is not None:
            labels[row] = 0
            labels[row, [column[name] for name in record.labels]] = 1
    return tuple(classes), labels


def _splits_of(origin: Path, records: Sequence[EyeRecord]) -> tuple[str, ...] | None:
    given = [record.split for record in records]
    if not any(given):
        return None
    splits = []
    for record in records:
        known = SPLIT_WORDS.get((record.split or "").casefold())
        if known is None:
            raise DataError(
                f"the split {record.split or ''!r} of {record.where or origin}",
                expected="train, valid or test for every patient, or for none",
            )
        splits.append(known)
    return tuple(splits)


def _absences(records: Sequence[EyeRecord], text_of: Indices) -> list[str]:
    """Return notices on patients without one eye, or without any text."""
    notices = []
    for side, name in ((1, "left"), (2, "right")):
        lacking = [record.patient for record in records if record[side] is None]
        if lacking:
            notices.append(
                f"{len(lacking):,} of {len(records):,} patients have no photograph of the {name} "
                f"eye ({some(lacking)})"
            )
    silent = [record.patient for record, row in zip(records, text_of, strict=True) if row[0] < 0]
    if silent:
        notices.append(
            f"{len(silent):,} of {len(records):,} patients have no report ({some(silent)}): they "
            "are left out of training and of retrieval, and still count in classification"
        )
    twice = len(records) - len({record.patient for record in records})
    if twice:
        notices.append(
            f"{twice:,} rows are further visits of patients listed before: all rows of a patient "
            "stay in one split"
        )
    return notices
