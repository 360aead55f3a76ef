"""Write `predictions.csv` as contests require it, read it and check it. Imports without torch."""

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from tunewright.errors import DataError, shorten
from tunewright.images.sources.csv_rows import CHARACTERS, csv_rows, delimiter_of
from tunewright.runs.atomic import NAMED, write_with
from tunewright.runs.regular_files import read_regular

HEADER = ("image_id", "label")
SHOWN = 5
"""Number of ids that an error names."""


def check_ids(origin: Path, ids: Sequence[str]) -> None:
    """Raise DataError for ids that predictions cannot hold: file names that are not UTF-8.

    origin: where they come from, for the message.
    """
    try:
        "".join(ids).encode("utf-8")
    except UnicodeEncodeError:
        wrong = [name for name in ids if name != name.encode("utf-8", "ignore").decode("utf-8")]
        raise DataError(
            list_names(f"of {len(ids)} names in {origin} cannot be written", wrong),
            expected="names in UTF-8",
            remedy="Rename these files.",
        ) from None


def write_predictions(file: Path, ids: Sequence[str], labels: Iterable[str]) -> None:
    """Write `image_id,label`: UTF-8 without BOM, LF, ids exactly as given and in their order."""
    write_rows(file, [HEADER, *zip(ids, labels, strict=True)])


def write_probabilities(
    file: Path, ids: Sequence[str], classes: Sequence[str], rows: Iterable[Sequence[float]]
) -> None:
    """Write a column for each class, in the order of the classes; the same form otherwise."""
    table: list[Sequence[str]] = [("image_id", *classes)]
    for name, row in zip(ids, rows, strict=True):
        table.append((name, *(f"{value:.6g}" for value in row)))
    write_rows(file, table)


def write_rows(file: Path, table: Iterable[Sequence[str]], delimiter: str = ",") -> None:
    """Write a header and rows: UTF-8 without BOM, LF."""
    content = _text(table, delimiter).encode("utf-8")
    write_with(file, lambda place: place.write_bytes(content), remedy=NAMED)


def _text(table: Iterable[Sequence[str]], delimiter: str = ",") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(table)
    return text.getvalue()


def read_text(file: Path) -> str:
    """Read a file of predictions; raises DataError for one that a contest would reject.

    That is: not UTF-8, a byte order mark, carriage returns.
    """
    try:
        content = read_regular(file)
    except OSError as error:
        raise DataError(
            f"{file} cannot be read ({error.strerror})",
            remedy=f"Create it with: tunewright predict RUN --data DIR --output {file}",
        ) from None
    if content.startswith(b"\xef\xbb\xbf"):
        raise DataError(
            f"{file} begins with a byte order mark",
            expected="UTF-8 without BOM",
            remedy="Write it with tunewright predict instead of a spreadsheet.",
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 ({error.reason}, byte {error.start})") from None
    if b"\r" in content:
        which = "Windows line ends" if b"\r\n" in content else "carriage returns"
        raise DataError(f"{file} has {which}", expected="LF alone")
    return text


def read_predictions(file: Path) -> tuple[list[str], list[str]]:
    """Read the ids and labels of a file; raises DataError for one that a contest would reject.

    That is: what `read_text` refuses, quotes that do not match, another header, rows that are not
    an id and a label, no rows. Semicolons and tabs are read; `submit` writes commas.
    """
    text = read_text(file)
    rows = list(csv_rows(file, text, delimiter_of(text)))
    if not rows or tuple(rows[0][1]) != HEADER:
        came = ",".join(rows[0][1]) if rows else "nothing"
        raise DataError(
            f"{file} begins with {_quote(came)}",
            expected=f"the header {','.join(HEADER)}",
            remedy="If the contest wants another form, name its sample submission with --like.",
        )
    for line, row in rows[1:]:
        if len(row) != 2 or not all(row):
            raise DataError(
                f"{file}, line {line}: {_quote(','.join(row))}", expected="an id and a label"
            )
    if len(rows) == 1:
        raise DataError(f"{file} holds no predictions", expected="one for each picture")
    return [row[0] for _, row in rows[1:]], [row[1] for _, row in rows[1:]]


def rows_text(file: Path) -> str:
    """Return the content of a file of predictions, its cells separated by commas."""
    text = read_text(file)
    delimiter = delimiter_of(text)
    if delimiter == ",":
        return text
    return _text(row for _, row in csv_rows(file, text, delimiter))


def _quote(field: str) -> str:
    return repr(shorten(field, CHARACTERS))


def check_predictions(
    file: Path,
    ids: Sequence[str],
    labels: Sequence[str],
    *,
    expected: Sequence[str],
    classes: Collection[str],
) -> None:
    """Compare predictions with the test set; raises DataError that names what is wrong, and where.

    expected: the ids of the test set in their order. classes: every label that is allowed.
    """
    counts = Counter(ids)
    problems = [
        list_names("more than once", [name for name, count in counts.items() if count > 1]),
        list_names("not in the test set", sorted(set(ids) - set(expected))),
        list_names("without a prediction", [name for name in expected if name not in counts]),
    ]
    wrong = sorted({label for label in labels if label not in classes})
    problems.append(list_names("no label of the model", wrong))
    found = [problem for problem in problems if problem]
    if not found and list(ids) != list(expected):
        row = next(i for i, (a, b) in enumerate(zip(ids, expected, strict=True)) if a != b)
        found = [
            f"another order, from line {row + 2} on: {ids[row]!r} in place of {expected[row]!r}"
        ]
    if found:
        raise DataError(
            f"{file}: {'; '.join(found)}",
            expected=f"each of the {len(expected)} ids of the test set once, in their order, with "
            f"one of {len(classes)} labels",
            remedy="Predict again on this test set: tunewright predict RUN --data DIR "
            f"--output {file}",
        )


def list_names(what: str, names: Sequence[str]) -> str:
    """Return how many names are `what`, and the first of them; empty for none."""
    if not names:
        return ""
    shown = ", ".join(_quote(name) for name in names[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {what} ({shown}{more})"
