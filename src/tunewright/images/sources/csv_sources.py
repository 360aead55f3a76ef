"""Read sources described by a CSV file: competitions, or index.csv beside pictures or in a zip."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tunewright.errors import DataError, did_you_mean, quote
from tunewright.images.image_table import ImageTable, PicturePlace
from tunewright.images.sources.archive import FileListing, list_files
from tunewright.images.sources.build_table import Naming, TableRow, some, table_of
from tunewright.images.sources.columns import Columns
from tunewright.images.sources.csv_rows import CsvRows, read_csv
from tunewright.images.sources.file_matching import listings_beside, places_of
from tunewright.images.sources.several_labels import (
    class_columns,
    classes_in_order,
    labels_of_rows,
)

INDEX = "index.csv"
TRAIN = ("train.csv", "train_labels.csv")
OTHERS = {"valid": ("valid", "val", "validation", "dev"), "test": ("test", "testing")}
"""Names of the tables of other splits; `_labels` may follow, as for train."""
MAPPING = "category_mapping.csv"
AUTO_GROUP = ("group", "camera_id", "track_id")
CLASS = "class"
"""The column of the names of classes, beside one of labels."""
READABLE = ("english_name", "name", "class", "chinese_name")


def read_competition(
    folder: Path, *, labelled: bool, group_by: str | None, columns: Columns
) -> ImageTable:
    """Read a competition's table of training pictures, with `train/` beside it.

    That is `train.csv` (image_id, label) or `train_labels.csv` (filename, category_id), or with
    columns of other usual names. A valid.csv
    (val, validation, dev) or test.csv that has labels too provides these splits, with or without
    `_labels` in its name. `category_mapping.csv` names the classes.
    """
    name = next(name for name in TRAIN if (folder / name).is_file())
    files = {"train": folder / name}
    for split, names in OTHERS.items():
        every = (folder / f"{name}{end}.csv" for name in names for end in ("", "_labels"))
        there = [file for file in every if file.is_file() and _has_labels(file, columns)]
        if len(there) > 1:
            raise DataError(
                f"{folder} has {' and '.join(file.name for file in there)}",
                expected=f"one table for {split}",
                remedy="Move or rename the other.",
            )
        if there:
            files[split] = there[0]
    rows: list[TableRow] = []
    readable: dict[str, str] = {}
    notices: list[str] = []
    for split, file in files.items():
        table = read_csv(file)
        listings = listings_beside(file, _beside(file, labelled))
        alone = len(files) == 1
        rows += _rows(table, listings, labelled, group_by, columns, None if alone else split)
        readable |= _readable(table, columns)
        notices += _label_notices(table, columns, labelled)
    naming = _naming(folder / MAPPING, rows, readable)
    if labelled:
        naming = _with_class_columns(naming, read_csv(files["train"]), columns, group_by)
    return table_of(folder, rows, labelled=labelled, naming=naming, notices=notices)


def read_index(
    place: Path, *, labelled: bool, group_by: str | None, columns: Columns
) -> ImageTable:
    """Read `index.csv` (file, label, and optionally class and split) of a folder or a zip.

    The pictures are in the folder, in a zip beside the table, or in the zip itself.
    """
    if place.is_dir():
        table = read_csv(place / INDEX)
        beside = listings_beside(place / INDEX, ("images",))
        rows = _rows(table, beside, labelled, group_by, columns)
        return _table_by_name(place, table, rows, labelled, columns, group_by)
    inside = [listing for listing in _with_wrapped(list_files(place)) if INDEX in listing.names]
    if inside:
        table = read_csv(place / (inside[0].prefix + INDEX), inside[0].content(INDEX))
    else:
        table = read_csv(place.parent / INDEX)
    listings = inside or _with_wrapped(list_files(place))
    rows = _rows(table, listings, labelled, group_by, columns)
    return _table_by_name(place, table, rows, labelled, columns, group_by)


def read_listed(
    file: Path, *, labelled: bool, group_by: str | None, columns: Columns
) -> ImageTable:
    """Read any table with a column of pictures; its cells are the ids, in their order."""
    table = read_csv(file)
    beside = listings_beside(file, _beside(file, labelled))
    rows = _rows(table, beside, labelled, group_by, columns)
    naming = _naming(file.parent / MAPPING, rows, _readable(table, columns))
    if labelled:
        naming = _with_class_columns(naming, table, columns, group_by)
    notices = _label_notices(table, columns, labelled)
    return table_of(file, rows, labelled=labelled, naming=naming, notices=notices)


def _beside(table: Path, labelled: bool) -> tuple[str, ...]:
    """Return folders where a table's pictures may be: for train_labels.csv those of train."""
    stem = table.stem.removesuffix("_labels")
    return (stem, f"{stem}_images", "train" if labelled else "test", "images")


def _with_wrapped(listing: FileListing) -> Iterator[FileListing]:
    yield listing
    if (inner := listing.strip_single_root()) is not listing:
        yield inner


def _table_by_name(
    place: Path,
    table: CsvRows,
    rows: Sequence[TableRow],
    labelled: bool,
    columns: Columns,
    group_by: str | None,
) -> ImageTable:
    naming = Naming(names=_readable(table, columns))
    if labelled:
        naming = _with_class_columns(naming, table, columns, group_by)
    notices = _label_notices(table, columns, labelled)
    return table_of(place, rows, labelled=labelled, naming=naming, notices=notices)


def _label_notices(table: CsvRows, columns: Columns, labelled: bool) -> list[str]:
    """Return a notice on other columns of labels; one of their names, `class`, is none."""
    named = columns.names.get("image"), columns.names.get("split"), table.one_of((CLASS,))
    return columns.label_notices(table, *filter(None, named)) if labelled else []


def _with_class_columns(
    naming: Naming, table: CsvRows, columns: Columns, group_by: str | None
) -> Naming:
    """Return the naming with the classes in the order of their columns, where each has one."""
    if not columns.multi_label:
        return naming
    classes = classes_in_order(table, columns, _taken(table, columns, group_by))
    return naming._replace(classes=classes or None)


def _taken(table: CsvRows, columns: Columns, group_by: str | None) -> list[str]:
    """Return the columns that hold something else than labels."""
    others = [*columns.candidates(table, "image"), *columns.candidates(table, "split")]
    return [*others, *filter(None, [_group_column(table, group_by)])]


def _has_labels(file: Path, columns: Columns) -> bool:
    """Return whether a table beside the training table has labels, by a usual name or the given."""
    table, usual = read_csv(file), replace(columns, required=False)
    if columns.multi_label and columns.classes:
        return len(table.all_of(columns.classes)) == len(columns.classes)
    if columns.multi_label and class_columns(table, _taken(table, usual, None)):
        return True
    return bool(usual.candidates(table, "label"))


def _rows(
    table: CsvRows,
    listings: Iterable[FileListing],
    labelled: bool,
    group_by: str | None,
    columns: Columns,
    split: str | None = None,
) -> list[TableRow]:
    named = columns.some(table, "image")
    several: list[tuple[str, ...]] | None = None
    separator = ""
    if labelled and columns.multi_label:
        taken = _taken(table, columns, group_by)
        several, separator = labels_of_rows(table, columns, taken)
    one = labelled and several is None
    labels = table.column(columns.one(table, "label") if one else None)
    in_split = columns.candidates(table, "split") if labelled else []
    splits = table.column(in_split[0] if in_split else None)
    groups = table.column(_group_column(table, group_by) if labelled else None)
    ids, places = _ids_and_places(table, named, listings)
    if split is not None:
        splits = [split] * len(ids)
    cells = zip(ids, places, labels, splits, groups, table.lines, strict=True)
    rows = [
        TableRow(name, place, label, part, group, table.file, line)
        for name, place, label, part, group, line in cells
    ]
    if several is None:
        return rows
    return [
        row._replace(labels=of_row, separator=separator)
        for row, of_row in zip(rows, several, strict=True)
    ]


def _ids_and_places(
    table: CsvRows, named: Sequence[str], listings: Iterable[FileListing]
) -> tuple[list[str], list[PicturePlace]]:
    """Return the ids and the pictures by the first of some columns whose cells all name a file.

    Raises DataError about the first column where none does, and for a row without an id.
    """
    listings = listings if len(named) == 1 else list(listings)
    first: DataError | None = None
    for column in named:
        ids = table.raw(column)
        try:
            _check_no_empty(table, ids)
            return ids, places_of(ids, table.file, listings)
        except DataError as error:
            first = first or error
    assert first is not None
    raise first


def _check_no_empty(table: CsvRows, ids: Sequence[str]) -> None:
    empty = [line for name, line in zip(ids, table.lines, strict=True) if not name.strip()]
    if empty:
        raise DataError(
            f"{len(empty):,} rows of {table.file} name no picture (lines {some(empty)})",
            expected="an id in each row",
        )


def _group_column(table: CsvRows, group_by: str | None) -> str | None:
    if group_by == "auto":
        return table.one_of(AUTO_GROUP)
    if group_by is not None and group_by not in table.columns:
        raise DataError(
            f"data.group_by = {group_by!r}, and {table.file} has no such column",
            expected=f"one of {', '.join(table.columns)}, or null",
            remedy=did_you_mean(group_by, table.columns),
        )
    return group_by


def _readable(table: CsvRows, columns: Columns) -> dict[str, str]:
    """Map label to class, if a table has both; raises DataError for two names of one label."""
    label = next(iter(columns.candidates(table, "label")), None)
    if columns.multi_label:
        return {}
    title = table.one_of((CLASS,))
    if label is None or title in (None, label):
        return {}
    names: dict[str, str] = {}
    pairs = zip(table.column(label), table.column(title), table.lines, strict=True)
    for key, name, line in pairs:
        if key and name and names.setdefault(key, name) != name:
            raise DataError(
                f"line {line:,} of {table.file} calls the label {quote(key)} {quote(name)}",
                expected=f"{quote(names[key])}, as an earlier line does",
                remedy="Correct the label or the class.",
            )
    return names


def _naming(file: Path, rows: Sequence[TableRow], readable: Mapping[str, str]) -> Naming:
    """Read category_mapping.csv, by whichever of its columns holds the labels."""
    if not file.is_file():
        return Naming(names=readable)
    mapping = read_csv(file)
    by_label = mapping.column(mapping.require_column(("label",), "labels"))
    by_category = mapping.column(mapping.require_column(("category_id",), "category ids"))
    name = mapping.one_of(READABLE)
    given = {label for row in rows for label in row.labels or (row.label,) if label}
    raw = not given <= set(by_label) and given <= set(by_category)
    keys = [key or "" for key in (by_category if raw else by_label)]
    unknown = sorted(given - set(keys))
    if unknown:
        raise DataError(
            f"{file} has no entry for the label {quote(unknown[0])}",
            expected=f"each of {len(given)} labels in its column 'label' or 'category_id'",
            remedy="Complete the mapping, or remove it.",
        )
    titles = zip(keys, mapping.column(name), strict=True)
    return Naming(
        known=tuple(filter(None, keys)),
        names=dict(readable) | {key: title for key, title in titles if title},
        category_ids={}
        if raw
        else {key: other for key, other in zip(keys, by_category, strict=True) if other},
    )
