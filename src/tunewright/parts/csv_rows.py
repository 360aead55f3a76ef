"""A CSV file as rows of text, with the line of each; wrong columns are named."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.errors import DataError, did_you_mean


@dataclass(frozen=True)
class CsvRows:
    """A table of text: a colour named NA stays one, 007 stays 007.

    cells: one tuple a row, as long as `columns`. lines: where each row ends in the file, from 1.
    """

    file: Path
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def one_of(self, names: Sequence[str]) -> str | None:
        """The first of these columns that the table has."""
        return next((name for name in names if name in self.columns), None)

    def need(self, names: Sequence[str], what: str) -> str:
        """The first of these columns, or DataError that says which there are."""
        found = self.one_of(names)
        if found is None:
            near = next(filter(None, (did_you_mean(n, self.columns) for n in names)), "")
            if len(self.columns) == 1 and any(mark in self.columns[0] for mark in ";\t"):
                near = "Separate the cells by commas."
            raise DataError(
                f"{self.file} has no column with {what}, but {', '.join(self.columns)}",
                expected=" or ".join(repr(name) for name in names),
                remedy=near or "Rename the column.",
            )
        return found

    def column(self, name: str | None) -> list[str | None]:
        """The cells of one column, without spaces around them; None where there is nothing."""
        if name is None:
            return [None] * len(self.cells)
        at = self.columns.index(name)
        return [row[at].strip() or None for row in self.cells]

    def raw(self, name: str) -> list[str]:
        """The cells of one column, exactly as they are."""
        at = self.columns.index(name)
        return [row[at] for row in self.cells]


def read_csv(file: Path, content: bytes | None = None) -> CsvRows:
    """Read a CSV file, with or without a byte order mark.

    content: its bytes where it lies in a zip. Raises DataError for a file that is missing, not
    UTF-8, without rows, or with rows of another length than the first.
    """
    try:
        text = (file.read_bytes() if content is None else content).decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{file} does not exist", expected="a CSV file") from None
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not UTF-8 ({error.reason} at byte {error.start:,})",
            remedy="Save it again as 'CSV UTF-8'.",
        ) from None
    try:
        return _rows(file, text)
    except csv.Error as error:
        raise DataError(f"{file} is not readable as CSV: {error}") from None


def _rows(file: Path, text: str) -> CsvRows:
    reader = csv.reader(io.StringIO(text, newline=""))
    columns = tuple(name.strip() for name in next(reader, []))
    if not columns:
        raise DataError(f"{file} is empty and has no columns", expected="their names, then rows")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(f"{file} has the column {twice[0]!r} twice", expected="each column once")
    cells, lines = [], []
    for row in reader:
        if not row:
            continue
        if len(row) != len(columns):
            raise DataError(
                f"line {reader.line_num:,} of {file} has another number of cells, {len(row)}",
                expected=f"{len(columns)}, like the first line",
                remedy="Put texts that contain commas between double quotes.",
            )
        cells.append(tuple(row))
        lines.append(reader.line_num)
    if not cells:
        raise DataError(f"{file} has no rows", expected="a line of column names, then the rows")
    return CsvRows(file, columns, tuple(cells), tuple(lines))
