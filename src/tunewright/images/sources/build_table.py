"""Build the table of any source from its rows: unique ids, known labels, complete splits."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tunewright.errors import DataError, did_you_mean, quote, shorten
from tunewright.images.image_table import SPLITS, UNLABELLED, ImageTable, PicturePlace, Targets
from tunewright.images.sources.archive import whole_number
from tunewright.images.sources.unicode_forms import to_nfc

EXAMPLES = 5  # how many items a message names
SPLIT_WORDS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}
INTEGER = re.compile(r"[+-]?\d+")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
NO_VALUE = frozenset({"nan", "nat", "none", "null", "na", "n/a", "<na>", "nil"})
"""What programs write for a missing value, in upper or lower case."""


class TableRow(NamedTuple):
    """One picture as its source lists it; `line` of `file` says where.

    labels: in place of `label`, where a picture may have several, or none. separator: what stands
    between them there.
    """

    id: str
    place: PicturePlace
    label: str | None = None
    split: str | None = None
    group: str | None = None
    file: Path | None = None
    line: int = 0
    labels: tuple[str, ...] | None = None
    separator: str = ""

    @property
    def where(self) -> str:
        """Where the source lists this row."""
        return f"line {self.line:,} of {self.file}" if self.file else str(self.place)


class Naming(NamedTuple):
    """What a source says about its classes, besides the rows.

    classes: in the order of their labels; without it they are sorted, and those of `known` exist
    even if no picture shows them. names, category_ids: as in ImageTable.
    """

    classes: tuple[str, ...] | None = None
    known: tuple[str, ...] = ()
    names: Mapping[str, str] = {}
    category_ids: Mapping[str, str] = {}


def table_of(
    origin: Path,
    rows: Sequence[TableRow],
    *,
    labelled: bool,
    naming: Naming | None = None,
    notices: Iterable[str] = (),
) -> ImageTable:
    """Check the rows of a source and turn them into columns.

    Raises DataError for no rows, a duplicate id, a missing or unknown label, and a group or split
    that only some rows have.
    """
    naming = _compose_names(naming or Naming())
    if not rows:
        raise DataError(f"{origin} lists no pictures", expected="at least one")
    rows, joined = _join_labels(rows)
    _each_id_once(rows)
    ids, places = tuple(row.id for row in rows), tuple(row.place for row in rows)
    if not labelled:
        nothing = np.full(len(rows), UNLABELLED, dtype=np.int64)
        return ImageTable(origin, ids, places, nothing, (), notices=tuple(notices))
    several = rows[0].labels is not None
    missing = [] if several else [row.where for row in rows if not row.label]
    if missing:
        raise DataError(
            f"{len(missing):,} of {len(rows):,} pictures of {origin} have no label "
            f"({some(missing)})",
            expected="a label for each picture",
            remedy="Add the labels, or remove these rows and predict them with --data.",
        )
    stated = [(row, to_nfc(label)) for row in rows for label in _labels(row)]
    stating, written = [row for row, _ in stated], [label for _, label in stated]
    _check_characters(stating, written)
    groups = _column(origin, rows, [row.group for row in rows], "group")
    doubts = [] if naming.classes else _no_values(origin, stating, written, "label")
    doubts += _no_values(origin, rows, groups or (), "group")
    classes = naming.classes or in_order({*written, *naming.known})
    number = {name: at for at, name in enumerate(classes)}
    for row, label in stated:
        if label not in number:
            raise DataError(
                f"the label {quote(label)} in {row.where}",
                expected=f"one of {some(classes)}",
                remedy=did_you_mean(label, classes),
            )
    labels = np.full(len(rows), UNLABELLED, dtype=np.int64)
    targets = None
    if several:
        targets = np.zeros((len(rows), len(classes)), dtype=np.bool_)
        for at, row in enumerate(rows):
            targets[at, [number[to_nfc(label)] for label in _labels(row)]] = True
        doubts.insert(0, _describe_labels(targets, rows[0].separator, joined))
    else:
        labels = np.array([number[label] for label in written], dtype=np.int64)
    return ImageTable(
        origin,
        ids,
        places,
        labels,
        classes,
        _column(origin, rows, [_split(row) for row in rows], "split"),
        groups,
        dict(naming.names),
        dict(naming.category_ids),
        (*notices, *doubts, *_alike(classes)),
        targets=targets,
        label_separator=rows[0].separator,
    )


def _labels(row: TableRow) -> tuple[str, ...]:
    return (row.label or "",) if row.labels is None else row.labels


def _join_labels(rows: Sequence[TableRow]) -> tuple[list[TableRow], int]:
    """Join rows of one picture that differ in their labels; return how many joined others."""
    joined: dict[tuple[object, ...], TableRow] = {}
    for row in rows:
        key = (row.id, row.place, row.split, row.group) if row.labels is not None else (id(row),)
        first = joined.setdefault(key, row)
        if first is not row:
            labels = tuple(dict.fromkeys((*_labels(first), *_labels(row))))
            joined[key] = first._replace(labels=labels)
    return [*joined.values()], len(rows) - len(joined)


def _describe_labels(targets: Targets, separator: str, joined: int) -> str:
    """Describe the labels of pictures that may have several, so that a wrong reading is seen."""
    each = targets.sum(axis=1)
    between = f", {quote(separator)} between them" if separator else ""
    bare = int((each == 0).sum())
    return (
        f"{len(targets):,} pictures with {each.mean():.2f} of {targets.shape[1]:,} labels on "
        f"average, at most {int(each.max()):,}{between}"
        + (f"; {bare:,} have none, and count as examples without any" if bare else "")
        + (f"; {joined:,} rows add labels to a picture of an earlier row" if joined else "")
        + ("; none has two: data.multi_label=false compares classes" if each.max() < 2 else "")
    )


def _compose_names(naming: Naming) -> Naming:
    """Return what a source says about its classes, with names in NFC."""
    return Naming(
        None if naming.classes is None else tuple(map(to_nfc, naming.classes)),
        tuple(map(to_nfc, naming.known)),
        {to_nfc(name): text for name, text in naming.names.items()},
        {to_nfc(name): text for name, text in naming.category_ids.items()},
    )


def _check_characters(rows: Sequence[TableRow], labels: Sequence[str]) -> None:
    """Refuse class names that cannot be written as UTF-8: predictions would fail at their end."""
    odd = next((row for row, label in zip(rows, labels, strict=True) if not _is_text(label)), None)
    if odd is not None:
        raise DataError(
            f"the class of {odd.where} is not UTF-8",
            expected="class names in UTF-8",
            remedy="Rename the folder; convmv -f latin1 -t utf8 renames many.",
        )


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sort names as integers if all are integers, else as text."""
    distinct = sorted(set(names))
    if all(INTEGER.fullmatch(name) for name in distinct):
        distinct.sort(key=_signed_number)
    return tuple(distinct)


def _signed_number(name: str) -> int:
    number = whole_number(name.lstrip("+-"))
    return -number if name.startswith("-") else number


def some(items: Iterable[object]) -> str:
    """List the first few items, and how many more there are."""
    listed = list(items)
    more = len(listed) - EXAMPLES
    return ", ".join(shorten(str(item)) for item in listed[:EXAMPLES]) + (
        f" and {more:,} more" if more > 0 else ""
    )


def _no_values(
    origin: Path, rows: Sequence[TableRow], values: Sequence[str], what: str
) -> list[str]:
    """Return notices on names that may stand for a missing value; they are kept as text.

    Raises DataError for NaN and infinity among numbers, where they cannot be names.
    """
    distinct = set(values)
    odd = {value for value in distinct if NOT_FINITE.fullmatch(value)}
    if odd and all(NUMBER.fullmatch(value) for value in distinct - odd):
        bare = [row.where for row, value in zip(rows, values, strict=True) if value in odd]
        raise DataError(
            f"{len(bare):,} of {len(rows):,} pictures of {origin} have the {what} "
            f"{some(sorted(odd))} among numbers ({some(bare)})",
            expected="a number for each",
            remedy="Complete them, or leave them out.",
        )
    doubtful = sorted(value for value in distinct if value.casefold() in NO_VALUE)
    first = {value: rows[values.index(value)].where for value in doubtful}
    return [
        f"{quote(value)} is taken for a {what} ({values.count(value):,} pictures, the first in "
        f"{first[value]}): if it stands for a missing one, complete these rows or leave them out"
        for value in doubtful
    ]


def _each_id_once(rows: Sequence[TableRow]) -> None:
    seen: dict[str, TableRow] = {}
    again = [(seen[row.id], row) for row in rows if seen.setdefault(row.id, row) is not row]
    if not again:
        return
    first, second = again[0]
    if first.where == second.where:  # no row of a table, but a file
        raise DataError(
            f"{quote(first.where)} is packed twice"
            + (f"; so are {len(again) - 1:,} other files" if len(again) > 1 else ""),
            expected="each file once",
            remedy="Unpack the zip, and name the folder: data.dir=FOLDER.",
        )
    equal = first[:5] == second[:5]
    raise DataError(
        f"the id {quote(first.id)} occurs twice, in {first.where} and {second.where}"
        + (" (equal rows)" if equal else "")
        + (f"; so do {len(again) - 1:,} other rows" if len(again) > 1 else ""),
        expected="each id once",
        remedy="Remove one of the rows."
        if equal
        else "Remove the wrong row, or give the second picture its own id.",
    )


def _split(row: TableRow) -> str | None:
    if not row.split:
        return None
    known = SPLIT_WORDS.get(row.split.casefold())
    if known is None:
        raise DataError(
            f"the split {quote(row.split)} in {row.where}",
            expected=f"one of {', '.join(SPLITS)}",
            remedy=did_you_mean(row.split, SPLIT_WORDS),
        )
    return known


def _column(
    origin: Path, rows: Sequence[TableRow], values: list[str | None], what: str
) -> tuple[str, ...] | None:
    given = [value for value in values if value is not None]
    if len(given) == len(values):
        return tuple(given)
    if given:
        bare = [row.where for row, value in zip(rows, values, strict=True) if value is None]
        raise DataError(
            f"{len(bare):,} of {len(rows):,} pictures of {origin} have no {what} ({some(bare)})",
            expected=f"a {what} for each picture, or for none",
            remedy="Complete the column."
            + (" data.group_by=null ignores it." if what == "group" else ""),
        )
    return None


def _alike(classes: Sequence[str]) -> list[str]:
    folded: dict[object, list[str]] = defaultdict(list)
    for name in classes:
        number = NUMBER.fullmatch(name)
        folded[float(name) if number else " ".join(name.casefold().split())].append(name)
    twins = [" and ".join(map(repr, names)) for names in folded.values() if len(names) > 1]
    if not twins:
        return []
    return [f"classes that differ only in case, spaces or the form of a number: {some(twins)}"]
