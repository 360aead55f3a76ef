"""Read several labels a picture from a table: in one column, or in a column of 0 and 1 a class."""

from collections.abc import Sequence

from tunewright.errors import ConfigError, DataError, did_you_mean, quote
from tunewright.images.sources.columns import Columns
from tunewright.images.sources.csv_rows import CsvRows
from tunewright.images.sources.unicode_forms import to_nfc

SEPARATORS = ("|", ";", ",", "，")
"""What is recognised between the labels of a cell; blanks are where none of these occurs."""
YES, NO = frozenset({"1", "1.0", "true", "yes"}), frozenset({"0", "0.0", "false", "no"})
"""What the cells of a class's own column say, in upper or lower case."""
REMEDY = (
    "Name a column of labels: 'data.columns={label: COLUMN}'. Or the columns of 0 and 1, one a "
    "class: 'data.columns={classes: [A, B, C]}'."
)

LabelsOfRow = tuple[str, ...]


def labels_of_rows(
    table: CsvRows, columns: Columns, taken: Sequence[str]
) -> tuple[list[LabelsOfRow], str]:
    """Return the labels of each row of a table, and what separates them in its cells.

    They are in the columns that `data.columns.classes` names; else in the column of labels, if
    there is one; else in all columns of 0 and 1. taken: columns that hold something else. The
    separator is empty where a cell holds one label. Raises DataError for a table without labels,
    and for cells that are neither 0 nor 1.
    """
    if columns.classes:
        return _of_class_columns(table, _named(table, columns.classes)), ""
    found = columns.candidates(table, "label")
    if found:
        cells = [cell or "" for cell in table.column(found[0])]
        separator = columns.separator or separator_of(table, found[0], cells)
        return [split_labels(cell, separator) for cell in cells], separator
    if binary := class_columns(table, taken):
        return _of_class_columns(table, binary), ""
    raise DataError(
        f"{table.file} has no column with labels, but {', '.join(table.columns)}",
        expected="a column such as 'label' or 'labels', or a column of 0 and 1 for each class",
        remedy=REMEDY,
    )


def classes_in_order(table: CsvRows, columns: Columns, taken: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that have a column of their own, in their order; else nothing."""
    if columns.classes:
        return tuple(map(to_nfc, _named(table, columns.classes)))
    if columns.candidates(table, "label"):
        return ()
    return tuple(map(to_nfc, class_columns(table, taken)))


def class_columns(table: CsvRows, taken: Sequence[str]) -> list[str]:
    """Return the columns whose cells are all 0 or 1, without those that are taken."""
    return [
        name
        for name in table.columns
        if name not in taken and all(cell.strip() in ("0", "1") for cell in table.raw(name))
    ]


def separator_of(table: CsvRows, column: str, cells: Sequence[str]) -> str:
    """Return what stands between labels: a mark that the cells hold, else blanks, else nothing.

    Raises DataError where the cells hold two such marks.
    """
    found = [mark for mark in SEPARATORS if any(mark in cell for cell in cells)]
    if len(found) > 1:
        examples = [next(cell for cell in cells if mark in cell) for mark in found[:2]]
        raise DataError(
            f"the cells of {column!r} in {table.file} hold {' and '.join(map(repr, found))}, as in "
            f"{' and '.join(map(quote, examples))}",
            expected="one mark between the labels of a picture",
            remedy=f"Say which one it is: 'data.label_separator=\"{found[0]}\"'.",
        )
    if found:
        return found[0]
    return " " if any(len(cell.split()) > 1 for cell in cells) else ""


def split_labels(cell: str, separator: str) -> LabelsOfRow:
    """Return the labels in a cell, each once; none for an empty cell."""
    if not separator:
        parts = [cell]
    else:
        parts = cell.split() if separator.isspace() else cell.split(separator)
    return tuple(dict.fromkeys(filter(None, map(str.strip, parts))))


def _named(table: CsvRows, names: Sequence[str]) -> list[str]:
    missing = [name for name in names if not table.all_of((name,))]
    if missing:
        raise ConfigError(
            f"data.columns.classes names {missing[0]!r}, and {table.file} has no such column",
            expected=f"some of {', '.join(table.columns)}",
            remedy=did_you_mean(missing[0], table.columns),
        )
    return table.all_of(names)


def _of_class_columns(table: CsvRows, names: Sequence[str]) -> list[LabelsOfRow]:
    marks = []
    for name in names:
        cells = [cell.strip().casefold() for cell in table.raw(name)]
        wrong = [at for at, cell in enumerate(cells) if cell not in YES | NO]
        if wrong:
            others = f", and {len(wrong) - 1:,} others" if len(wrong) > 1 else ""
            raise DataError(
                f"line {table.lines[wrong[0]]:,} of {table.file} has {quote(cells[wrong[0]])} in "
                f"the column {name!r}{others}",
                expected="1 for a picture with the label, and 0 for one without",
                remedy="Fill in what is missing or uncertain, or leave these rows out.",
            )
        marks.append([cell in YES for cell in cells])
    classes = [to_nfc(name) for name in names]
    return [
        tuple(name for name, said in zip(classes, row, strict=True) if said)
        for row in zip(*marks, strict=True)
    ]
