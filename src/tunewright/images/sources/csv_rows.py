"""Read a table as rows of text, with the line of each; errors name wrong columns."""

import csv
import difflib
import io
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.errors import DataError, shorten
from tunewright.images.sources.unicode_forms import to_nfc
from tunewright.runs.regular_files import read_regular

LINE_END = re.compile(r"\r\n|\r|\n")
CHARACTERS = 80
"""Of a cell or line that an error quotes: one cell may hold many lines."""
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""What may stand between the cells of a table, and its name."""


@dataclass(frozen=True)
class CsvRows:
    """A table of text, without guessing types: NA stays NA and 007 stays 007.

    cells: one tuple per row, as long as `columns`. lines: where each row begins in the file, from
    1. delimiter: what stands between the cells.
    """

    file: Path
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    delimiter: str = ","

    def all_of(self, names: Iterable[str]) -> list[str]:
        """Return the columns with these names, in the order of `names`.

        Case, spaces, `-` and `_` do not count, unless a column has exactly the name: `ImageId` is
        found by `image_id`. Raises DataError for a name that fits two columns.
        """
        found: list[str] = []
        for name in names:
            alike = [column for column in self.columns if _fold(column) == _fold(name)]
            if name in alike:
                alike = [name]
            if len(alike) > 1:
                raise DataError(
                    f"{self.file} has the columns {' and '.join(map(repr, alike))}",
                    expected=f"one column called {name!r}",
                    remedy="Rename one of them.",
                )
            found += alike
        return list(dict.fromkeys(found))

    def one_of(self, names: Sequence[str]) -> str | None:
        """Return the first of these columns that the table has, as `all_of` does, or None."""
        return next(iter(self.all_of(names)), None)

    def require_column(self, names: Sequence[str], what: str) -> str:
        """Return the first of these columns, or raise DataError that lists the columns."""
        found = self.one_of(names)
        if found is None:
            raise DataError(
                f"{self.file} has no column with {what}, but {', '.join(self.columns)}",
                expected=" or ".join(repr(name) for name in names),
                remedy=self.advise_renaming(names),
            )
        return found

    def advise_renaming(self, names: Sequence[str]) -> str:
        """Return what to change in the header, so that it has one of these columns."""
        if self.columns[0].casefold().startswith("sep="):
            return "Remove the first line, which only a spreadsheet reads."
        spelt = {column.casefold().replace(" ", "_"): column for column in self.columns}
        for name in names:
            if near := difflib.get_close_matches(name, spelt, n=1):
                return f"Rename the column {spelt[near[0]]!r} to {name!r}."
        return f"Rename one of them to {names[0]!r}."

    def column(self, name: str | None) -> list[str | None]:
        """Return the cells of one column, stripped and in NFC; None for an empty cell."""
        if name is None:
            return [None] * len(self.cells)
        at = self.columns.index(name)
        return [to_nfc(row[at].strip()) or None for row in self.cells]

    def raw(self, name: str) -> list[str]:
        """Return the cells of one column, exactly as they are."""
        at = self.columns.index(name)
        return [row[at] for row in self.cells]


def read_csv(file: Path, content: bytes | None = None) -> CsvRows:
    """Read a table, its cells separated by commas, semicolons or tabs, with or without a BOM.

    content: its bytes, if it is in a zip. Raises DataError for a file that is missing, not UTF-8,
    without rows, or with rows of another length than the first, and as `csv_rows` does.
    """
    try:
        text = (read_regular(file) if content is None else content).decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{file} does not exist", expected="a CSV file") from None
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not UTF-8 ({error.reason} at byte {error.start:,})",
            remedy="Save it again as 'CSV UTF-8'.",
        ) from None
    delimiter = delimiter_of(text)
    rows = csv_rows(file, text, delimiter)
    _, header = next(rows, (1, []))
    columns = tuple(name.strip() for name in header)
    if not columns:
        raise DataError(f"{file} is empty and has no columns", expected="their names, then rows")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(f"{file} has the column {twice[0]!r} twice", expected="each column once")
    cells, lines = [], []
    for line, row in rows:
        if not row or (len(row) == 1 < len(columns) and not row[0].strip()):
            continue
        if len(row) != len(columns):
            raise DataError(
                f"line {line:,} of {file} has another number of cells, {len(row)}",
                expected=f"{len(columns)}, like the first line",
                remedy=_complete(row, columns, DELIMITERS[delimiter]),
            )
        cells.append(tuple(row))
        lines.append(line)
    if not cells:
        raise DataError(f"{file} has no rows", expected="a line of column names, then the rows")
    return CsvRows(file, columns, tuple(cells), tuple(lines), delimiter)


def delimiter_of(text: str) -> str:
    """Return what separates the cells of a table: the most frequent one in its first line."""
    first = re.sub(r'"[^"]*"', "", LINE_END.split(text, maxsplit=1)[0])
    return max(DELIMITERS, key=first.count)


def _complete(row: Sequence[str], columns: Sequence[str], delimiters: str) -> str:
    if any("\0" in cell for cell in row):
        return "It holds NUL bytes, as after a crash: copy or save the file again."
    if columns[0].casefold().startswith("sep="):
        return "Remove the first line, which only a spreadsheet reads."
    if len(row) > len(columns):
        return f"Put texts that contain {delimiters} between double quotes."
    return f"Complete the line; two {delimiters} with nothing between them are an empty cell."


def csv_rows(file: Path, text: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield all rows of a table, each with the line where it begins, from 1; blank lines are empty.

    Raises DataError, naming the line, for a quote that opens a cell and is not closed at its end,
    and for one that another stray quote closes, so that the rows between became part of a cell.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line, width = 1, 0
    try:
        for row in reader:
            width = width or len(row)
            if reader.line_num > line and _swallows(row, width, delimiter):
                came = f"has a quote that is closed on line {reader.line_num:,}, below other rows"
                raise _stray(file, text, line, came)
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        opens = _malformed_line(text, line, delimiter)
        came = f"has a quote that is not closed as CSV wants it ({error})"
        if opens is None:
            came = f"is not readable as CSV ({error})"
        raise _stray(file, text, opens or line, came) from None


def _stray(file: Path, text: str, line: int, came: str) -> DataError:
    return DataError(
        f"line {line:,} of {file} {came}: {shorten(LINE_END.split(text)[line - 1], CHARACTERS)!r}",
        expected="a quote at the end of each cell that begins with one",
        remedy="Remove the quote, close it, or write it twice inside a quoted cell.",
    )


def _malformed_line(text: str, line: int, delimiter: str) -> int | None:
    """Find the line of the first quoted cell without a closing quote, starting at `line`."""
    ends = [match.end() for match in LINE_END.finditer(text)]
    at = ends[line - 2] if line > 1 else 0
    quoted = re.compile(rf'"[^"]*(?:""[^"]*)*"(?=[{delimiter}\r\n]|\Z)')
    plain = re.compile(rf"(?!\")[^{delimiter}\r\n]*")
    while cell := quoted.match(text, at) or plain.match(text, at):
        if cell.end() == len(text):
            return None
        at = cell.end() + 1
    return bisect_right(ends, at) + 1


def _swallows(row: Sequence[str], width: int, delimiter: str) -> bool:
    """Return whether a cell of several lines may be rows instead, with equal cells and key form."""
    for at, cell in enumerate(row):
        first, *others = LINE_END.split(cell)
        if not others:
            continue
        counts = [line.count(delimiter) + 1 for line in (first, *others)]
        if counts == [width - at, *[width] * (len(others) - 1), at + 1]:
            key = _form((first if at == 0 else row[0]).partition(delimiter)[0])
            if all(_form(line.partition(delimiter)[0]) == key for line in others):
                return True
    return False


def _fold(column: str) -> str:
    """Reduce the name of a column to what is compared: `imageid` for `Image_ID`."""
    return re.sub(r"[\s_-]+", "", column.casefold())


def _form(cell: str) -> str:
    """Reduce a cell to its form: `x.x` for 12.jpg, `x x x` for "in the park".

    Keys have a common form, running text does not.
    """
    return re.sub(r"\w+", "x", cell.strip())
