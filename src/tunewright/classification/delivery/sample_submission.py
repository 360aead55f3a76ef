"""Find out from a sample submission what form a contest asks for. Imports without torch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tunewright.classification.delivery.contest_form import (
    TOP,
    ContestForm,
    SeveralLabels,
    with_several,
    with_top,
)
from tunewright.classification.delivery.predictions_csv import list_names
from tunewright.errors import DataError, quote
from tunewright.images.sources.columns import IMAGE, LABEL
from tunewright.images.sources.csv_rows import CsvRows, read_csv
from tunewright.images.sources.several_labels import SEPARATORS, split_labels

ANSWER = (*LABEL, "prediction", "predictions", "predicted", "target", "answer")
"""Usual names of the column of labels in a template."""
Texts = Mapping[str, Sequence[str]]
"""What may be written for each class: `labels`, and `category ids` and `names` if there are."""


def read_form(
    file: Path,
    texts: Texts,
    *,
    form: str | None = None,
    top: int | None = None,
    several: SeveralLabels | None = None,
) -> ContestForm:
    """Read a sample submission and find out what it asks for.

    texts: what may be written for each class; of several, that one which the template's cells are
    written in. form, top: what the template cannot show. several: how the labels of a picture are
    chosen, where it may have several. Raises DataError for a template that does not fit the
    classes, or that does not show its form.
    """
    table = read_csv(file)
    id_column = _id_column(table)
    _check_ids(table, id_column)
    others = [at for at in range(len(table.columns)) if at != id_column]
    if not others:
        raise DataError(
            f"{file} has one column, {table.columns[0]!r}", expected="ids and a column to fill in"
        )
    blank = ContestForm("labels", table.columns, table.cells, (), id_column=id_column, file=file)
    blank = replace(blank, delimiter=table.delimiter)
    vocabulary, columns = _class_columns(table, others, texts)
    shows_classes = len(columns) > 1 or (bool(columns) and len(texts["labels"]) == 2)
    if several is not None and form != "top-k":
        if form in ("probabilities", "zero-one") or (form is None and columns):
            found = _probabilities(blank, others, columns, texts[vocabulary])
            return with_several(_zero_one(found, table, form), several)
        return _several_labels(blank, table, others, texts, several)
    if form == "probabilities" or (form is None and shows_classes):
        return _probabilities(blank, others, columns, texts[vocabulary])
    return _labels(blank, table, others, texts, form, top)


def _probabilities(
    blank: ContestForm, others: Sequence[int], columns: Mapping[int, int], texts: Sequence[str]
) -> ContestForm:
    """Return the form with a column for each class; of two classes one may be left out."""
    missing = [text for number, text in enumerate(texts) if number not in columns]
    extra = [blank.header[at] for at in others if at not in columns.values()]
    if extra or (missing and (len(texts) > 2 or not columns)):
        problems = [
            list_names("classes of the run have no column in it", missing),
            list_names("columns are no class of the run", extra),
        ]
        raise DataError(
            f"{blank.file}: {'; '.join(filter(None, problems))}",
            expected="a column for each class, and one of ids",
            remedy="If its column holds labels, add --form labels or --form top-k.",
        )
    by_column = sorted(columns.items(), key=lambda entry: entry[1])
    return replace(
        blank,
        form="probabilities",
        texts=tuple(texts),
        classes=tuple(number for number, _ in by_column),
        answers=tuple(at for _, at in by_column),
    )


def _zero_one(found: ContestForm, table: CsvRows, form: str | None) -> ContestForm:
    """Return the form with 1 for a predicted label, if it is asked for or the template shows it."""
    cells = {row[at].strip() for row in table.cells for at in found.answers}
    if form == "probabilities" or (form is None and not cells <= {"0", "1"}):
        return found
    notice = (
        f"{found.file} holds 0 and 1: labels from their thresholds on are 1; --form probabilities "
        "writes probabilities"
    )
    return replace(found, form="zero-one", notices=(notice,) if form is None else ())


def _several_labels(
    blank: ContestForm,
    table: CsvRows,
    others: Sequence[int],
    texts: Texts,
    several: SeveralLabels,
) -> ContestForm:
    """Return the form with all predicted labels in one column, separated as the template's are."""
    answer = _answer_column(table, others)
    cells = [row[answer].strip() for row in table.cells]
    marks = dict.fromkeys(filter(None, (several.separator, *SEPARATORS, " ")))
    for mark in marks:
        parts = [part for cell in cells for part in split_labels(cell, mark)]
        used = _vocabulary(texts, parts)
        if used is not None and any(mark in cell for cell in cells):
            break
    else:  # the template shows one label a picture, or none that is known
        mark, used = several.separator, _vocabulary(texts, cells)
    found = replace(blank, texts=tuple(texts[used or "labels"]), answers=(answer,))
    return with_several(found, several._replace(separator=mark))


def _labels(
    blank: ContestForm,
    table: CsvRows,
    others: Sequence[int],
    texts: Texts,
    form: str | None,
    top: int | None,
) -> ContestForm:
    """Return the form with one column of labels, or of several labels separated by blanks."""
    answer = _answer_column(table, others)
    cells = list(dict.fromkeys(row[answer].strip() for row in table.cells))
    whole = _vocabulary(texts, cells)
    parts = _vocabulary(texts, [part for cell in cells for part in cell.split()])
    longest = max(len(cell.split()) for cell in cells)
    if form is None and whole is None and longest > 1 and parts is None:
        raise _unclear(blank, table, answer, "several words that are no classes of the run")
    if form is None and whole is None and cells != [""] and all(map(_is_decimal, cells)):
        raise _unclear(blank, table, answer, "numbers that are no classes of the run")
    if form is None:
        form = "top-k" if whole is None and longest > 1 else "labels"
    used = (parts if form == "top-k" else whole) or "labels"
    kept = [table.columns[at] for at in others if at != answer]
    notices = []
    if kept:
        notices.append(
            f"{blank.file}: labels go into the column {table.columns[answer]!r}; "
            f"{', '.join(map(repr, kept))} keep the template's cells"
        )
    if (parts if form == "top-k" else whole) is None and cells != [""]:
        notices.append(
            f"{blank.file}: {quote(cells[0])} is no class of the run; classes are written as the "
            "training data has them"
        )
    found = replace(
        blank, form=form, texts=tuple(texts[used]), answers=(answer,), notices=tuple(notices)
    )
    return with_top(found, top or (longest if longest > 1 else TOP)) if form == "top-k" else found


def _unclear(form: ContestForm, table: CsvRows, answer: int, came: str) -> DataError:
    cell = table.cells[0][answer]
    return DataError(
        f"the column {table.columns[answer]!r} of {form.file} holds {came}, such as {quote(cell)}",
        expected="labels of the run, or a column named after each class",
        remedy="Say what it asks for: --form labels, --form top-k or --form probabilities.",
    )


def _id_column(table: CsvRows) -> int:
    """Return the number of the column of ids: the first one, unless only another is called so."""
    usual = [table.columns.index(name) for name in table.all_of(IMAGE)]
    return 0 if 0 in usual or not usual else usual[0]


def _answer_column(table: CsvRows, others: Sequence[int]) -> int:
    if len(others) == 1:
        return others[0]
    usual = [at for name in table.all_of(ANSWER) if (at := table.columns.index(name)) in others]
    if usual:
        return usual[0]
    raise DataError(
        f"{table.file} has the columns {', '.join(table.columns)}, of which none is a class of the "
        "run",
        expected="a column for each class, or one called label",
        remedy="Check that the template belongs to this run.",
    )


def _check_ids(table: CsvRows, column: int) -> None:
    ids = [row[column] for row in table.cells]
    problems = [
        list_names("more than once", [name for name, n in Counter(ids).items() if n > 1]),
        "a row without an id" if not all(name.strip() for name in ids) else "",
    ]
    if any(problems):
        raise DataError(
            f"ids of {table.file}: {'; '.join(filter(None, problems))}", expected="each id once"
        )


def _class_columns(
    table: CsvRows, others: Sequence[int], texts: Texts
) -> tuple[str, Mapping[int, int]]:
    """Return the vocabulary that most columns are named in, and class -> column by number.

    A part that all names begin with may be left out: `class_0`, `class_1` for 0 and 1.
    """
    names = [table.columns[at] for at in others]
    shared = 0  # letters that all names begin with
    while len(names) > 1 and len({name[: shared + 1] for name in names}) == 1:
        shared += 1
    cuts = [0, *(at for at in range(1, shared + 1) if not names[0][at - 1].isdigit())]
    best: tuple[str, Mapping[int, int]] = ("labels", {})
    for vocabulary, known in texts.items():
        for cut in cuts:
            for fold in (str, str.casefold):
                places = {fold(table.columns[at][cut:]): at for at in others}
                found = {n: places[fold(t)] for n, t in enumerate(known) if fold(t) in places}
                if len(set(found.values())) == len(found) > len(best[1]):
                    best = vocabulary, found
    return best


def _vocabulary(texts: Texts, cells: Sequence[str]) -> str | None:
    """Return the vocabulary that has all of the cells that are not empty, if there is one."""
    given = {cell for cell in cells if cell}
    return next((name for name, known in texts.items() if given and given <= {*known}), None)


def _is_decimal(cell: str) -> bool:
    try:
        return "." in cell and 0.0 <= float(cell) <= 1.0
    except ValueError:
        return False
