"""Read the table of a user's own pictures and texts: one pair a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tunewright.errors import DataError, did_you_mean
from tunewright.images.sources.columns import IMAGE, TEXT
from tunewright.images.sources.csv_rows import CsvRows, read_csv
from tunewright.recipes.pairs.data.split import SPLITS

Row = dict[str, str]
GROUP_COLUMN = "image_group"
SPLIT_COLUMN = "split"


@dataclass(frozen=True)
class PairTable:
    """A UTF-8 table with one pair a row, and the folder or zip of its pictures.

    image_column, text_column: None for the usual names, such as file, filepath, text, caption.
    id_column: the ids of the images (default: `image_group` if the table has it, else the file);
    rows with equal pixels get the same id in any case. split_column: copied if the table has it;
    None leaves it aside. skip_bad: skip rows without a usable picture or text instead of stopping
    at the first one.
    """

    images: Path | str
    file: Path | str
    image_column: str | None = None
    text_column: str | None = None
    id_column: str | None = None
    split_column: str | None = SPLIT_COLUMN
    skip_bad: bool = False

    def read(self) -> "PairRows":
        """Read the rows. Raises DataError for a table or a column that cannot be used."""
        file = Path(self.file)
        read = read_csv(file)
        image_column = _column(read, self.image_column, IMAGE)
        text_column = _column(read, self.text_column, TEXT)
        id_column = None if self.id_column is None else _column(read, self.id_column, ())
        rows = [dict(zip(read.columns, cells, strict=True)) for cells in read.cells]
        rows = _with_split(rows, self.split_column, file)
        return PairRows(self, rows, image_column, text_column, id_column)


@dataclass(frozen=True)
class PairRows:
    """The rows of a table, with their split under `split`, and the columns that are used."""

    table: PairTable
    rows: list[Row]
    image_column: str
    text_column: str
    id_column: str | None

    def with_text(self) -> tuple[list[Row], list[tuple[str, str]]]:
        """Return the rows with a text, and (file, reason) of the others.

        Raises DataError for rows without one, unless they may be skipped.
        """
        empty = [row[self.image_column] for row in self.rows if not row[self.text_column].strip()]
        if empty and not self.table.skip_bad:
            raise DataError(
                f"{len(empty):,} rows of {self.table.file} have no {self.text_column} "
                f"({', '.join(empty[:5])})",
                expected="a text in every row",
                remedy="Complete the table, or skip such rows with --skip-bad.",
            )
        rows = [row for row in self.rows if row[self.text_column].strip()]
        return rows, [(file, "no text") for file in empty]

    def ids_of(self, rows: Sequence[Row]) -> list[str]:
        """Return the image ids that the table gives to some rows, which are not none."""
        column = self.id_column
        if column is None:
            column = GROUP_COLUMN if GROUP_COLUMN in rows[0] else self.image_column
        return [row[column] for row in rows]


def train_rows(rows: Sequence[Row], path: Path | str) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows that encoders are fitted on: train, or all without a split."""
    fit = np.array([row.get(SPLIT_COLUMN, "train") == "train" for row in rows], dtype=np.bool_)
    if rows and not fit.any():
        raise DataError(
            f"the column {SPLIT_COLUMN!r} of {path} has no usable row 'train'",
            expected="train, val and test",
            remedy="Correct the column, or leave it aside and split later: --split-column none.",
        )
    return fit


def _column(table: CsvRows, named: str | None, usual: Sequence[str]) -> str:
    """Return the column that is named, or the first with a usual name; DataError without one."""
    if found := table.one_of(usual if named is None else (named,)):
        return found
    raise DataError(
        f"{table.file} has no column {usual[0] if named is None else named!r}",
        expected=f"one of {', '.join(table.columns)}"
        if named is not None
        else " or ".join(map(repr, usual)),
        remedy=did_you_mean(named or usual[0], table.columns)
        or "Name it with --image-column or --text-column.",
    )


def _with_split(rows: list[Row], column: str | None, path: Path) -> list[Row]:
    """Return the rows with their split under `split`, or without one."""
    others = [{k: v for k, v in row.items() if k != SPLIT_COLUMN} for row in rows]
    if column is None or not rows:
        return others
    if column not in rows[0]:
        if column != SPLIT_COLUMN:
            raise DataError(
                f"{path} has no column {column!r}",
                expected=f"one of {', '.join(rows[0])}",
                remedy=did_you_mean(column, list(rows[0])),
            )
        return others
    found = sorted({row[column] for row in rows})
    if foreign := [value for value in found if value not in SPLITS]:
        raise DataError(
            f"the column {column!r} of {path} holds {', '.join(map(repr, foreign[:5]))}",
            expected=", ".join(SPLITS),
            remedy="Correct the column, or leave it aside and split later: --split-column none.",
        )
    return [{**other, SPLIT_COLUMN: row[column]} for other, row in zip(others, rows, strict=True)]
