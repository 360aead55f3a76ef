"""The form of a contest's submission, in which predictions are written and checked.

Imports without torch.
"""

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tunewright.classification.delivery.predictions_csv import HEADER, list_names
from tunewright.errors import DataError, UsageError, quote
from tunewright.images.sources.archive import is_picture
from tunewright.images.sources.csv_rows import DELIMITERS, csv_rows

FORMS = ("labels", "top-k", "probabilities", "zero-one")
TOP = 5
"""Labels in a row of the form `top-k` where neither a template nor an option says how many."""


@dataclass(frozen=True)
class ContestForm:
    """How predictions are written: columns, ids and order of a template, and what the cells hold.

    form: one of FORMS. `labels` is one of them, or with `thresholds` all that are likely enough;
    `zero-one` is a column for each class, with 1 for these. header, rows: of the template, whose
    cells are kept in columns that hold no answer. id_column: the number of the column of ids.
    answers: the numbers of the columns that are filled; for columns of classes one for each of
    `classes`. classes: the numbers of the classes with a column. texts: what is written for each
    class. top: labels in a row. file: the template, if there is one. thresholds: the least
    probability of each class that is predicted, where a picture may have several labels, or none.
    separator: between these.
    """

    form: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...]
    answers: tuple[int, ...] = (1,)
    classes: tuple[int, ...] = ()
    id_column: int = 0
    top: int = 1
    delimiter: str = ","
    file: Path | None = None
    notices: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()
    separator: str = " "

    @property
    def ids(self) -> list[str]:
        """The ids in the order of the rows."""
        return [row[self.id_column] for row in self.rows]

    def order(self, given: Sequence[str]) -> list[int]:
        """Return the place in `given`, the ids of the test set, of each row of the form.

        Ids are equal as they are, else without the suffix of a picture, else without folders.
        Raises DataError that names the ids that only one of them has.
        """
        found = max((_Match.of(self.ids, given, key) for key in _KEYS), key=lambda one: one.count)
        lacking, extra = found.lacking, found.extra
        if not lacking and not extra:
            return found.places
        problems = [
            list_names("of its ids have no picture", lacking),
            list_names("pictures are not in it", extra),
        ]
        raise DataError(
            f"{self.file or 'the form'} does not fit the test set: "
            + "; ".join(filter(None, problems)),
            expected=f"each of the {len(given)} pictures once",
            remedy="Name the test set of this template: --data DIR.",
        )

    def table(self, shares: Sequence[Sequence[float]]) -> list[Sequence[str]]:
        """Return the header and the rows. shares: probabilities of the classes, row by row."""
        found: list[Sequence[str]] = [self.header]
        for row, values in zip(self.rows, shares, strict=True):
            cells = list(row)
            for column, text in zip(self.answers, self._answer(values), strict=True):
                cells[column] = text
            found.append(cells)
        return found

    def _answer(self, values: Sequence[float]) -> list[str]:
        if self.form == "probabilities":
            return [f"{values[number]:.6g}" for number in self.classes]
        if self.thresholds and self.form != "top-k":
            said = [value >= least for value, least in zip(values, self.thresholds, strict=True)]
            if self.form == "zero-one":
                return [str(int(said[number])) for number in self.classes]
            return [self.separator.join(self.texts[number] for number in np.flatnonzero(said))]
        best = sorted(range(len(values)), key=lambda number: -values[number])[: self.top]
        return [" ".join(self.texts[number] for number in best)]

    def check(self, file: Path, text: str) -> int:
        """Compare a file with the form and return the number of its rows.

        text: the content of the file. Raises DataError that says what differs, and where.
        """
        rows = list(csv_rows(file, text, self.delimiter))
        if not rows or tuple(rows[0][1]) != self.header:
            came = self.delimiter.join(rows[0][1]) if rows else "nothing"
            raise DataError(
                f"{file} begins with {quote(came)}",
                expected=f"{quote(self.delimiter.join(self.header))}, the header of "
                f"{self.file or 'the form'}, separated by {DELIMITERS[self.delimiter]}",
                remedy=self._again(file),
            )
        ids = [row[self.id_column] if len(row) > self.id_column else "" for _, row in rows[1:]]
        wanted = self.ids
        if ids != wanted:
            counts = Counter(ids)
            problems = [
                list_names("more than once", [name for name, n in counts.items() if n > 1]),
                list_names("not in it", sorted(set(ids) - set(wanted))),
                list_names("without a row", [name for name in wanted if name not in counts]),
            ]
            said = "; ".join(filter(None, problems)) or "ids in another order"
            raise DataError(
                f"{file} does not have the ids of {self.file or 'the test set'}: {said}",
                expected=f"its {len(wanted)} ids in their order",
                remedy=self._again(file),
            )
        for (line, row), own in zip(rows[1:], self.rows, strict=True):
            if problem := self._problem(row, own):
                raise DataError(f"{file}, line {line}: {problem}", remedy=self._again(file))
        return len(ids)

    def _problem(self, row: Sequence[str], own: Sequence[str]) -> str:
        if len(row) != len(self.header):
            return f"{len(row)} cells, expected {len(self.header)}"
        kept = set(range(len(row))) - {*self.answers}
        if changed := [self.header[at] for at in sorted(kept) if row[at] != own[at]]:
            return f"the column {changed[0]} is not as {self.file} has it"
        if self.form == "probabilities":
            wrong = [row[at] for at in self.answers if not _is_share(row[at])]
            return f"{quote(wrong[0])} is no probability" if wrong else ""
        if self.form == "zero-one":
            wrong = [row[at] for at in self.answers if row[at] not in ("0", "1")]
            return f"{quote(wrong[0])} is neither 0 nor 1" if wrong else ""
        said = [row[self.answers[0]]]
        if self.thresholds and self.form == "labels":
            said = said[0].split(self.separator) if said[0] else []
        elif self.form == "top-k":
            said = said[0].split(" ")
        unknown = [label for label in said if label not in self.texts]
        if unknown:
            return f"{quote(unknown[0])} is no label of the model"
        many = len(said) > self.top and not (self.thresholds and self.form == "labels")
        if many or len(set(said)) < len(said):
            return f"{quote(' '.join(said))}, expected at most {self.top} different labels"
        return ""

    def _again(self, file: Path) -> str:
        like = "" if self.file is None else f" --like {shlex.quote(str(self.file))}"
        form = "" if self.form == "labels" else f" --form {self.form}"
        top = f" --top {self.top}" if self.form == "top-k" else ""
        return (
            f"Predict again: tunewright predict RUN --data DIR{like}{form}{top} "
            f"--output {shlex.quote(str(file))}"
        )


def plain_form(form: str, ids: Sequence[str], texts: Sequence[str], top: int | None) -> ContestForm:
    """Return the form `image_id,label`, or a column a class, without a template."""
    if form in ("probabilities", "zero-one"):
        every = tuple(range(len(texts)))
        header = (HEADER[0], *texts)
        rows = tuple((name, *[""] * len(texts)) for name in ids)
        return ContestForm(form, header, rows, tuple(texts), tuple(n + 1 for n in every), every)
    rows = tuple((name, "") for name in ids)
    plain = ContestForm(form, HEADER, rows, tuple(texts))
    return with_top(plain, top or TOP) if form == "top-k" else plain


class SeveralLabels(NamedTuple):
    """How the labels of a picture that may have several, or none, are chosen and written.

    thresholds: the least probability of each class that is predicted. separator: what the training
    data writes between labels; empty where it has a column for each class.
    """

    thresholds: tuple[float, ...]
    separator: str = ""


def with_several(form: ContestForm, several: SeveralLabels | None) -> ContestForm:
    """Return the form for several labels a picture; as it is if `several` is None.

    Where the training data has no separator, it is a mark that no class contains. Raises DataError
    for classes that contain the separator.
    """
    if several is None:
        return form
    marks = [mark for mark in (" ", ";", "|") if not any(mark in text for text in form.texts)]
    mark = several.separator or next(iter(marks), ";")
    inside = [text for text in form.texts if mark in text]
    if inside and form.form == "labels":
        raise DataError(
            list_names(f"classes have names that contain {mark!r}", inside),
            expected="names without what separates the labels of a row",
            remedy="Choose --form zero-one or --form probabilities.",
        )
    return replace(form, thresholds=tuple(several.thresholds), separator=mark)


def check_form(form: str | None, top: int | None) -> None:
    """Raise UsageError for a form that is not known, or fewer than 1 label."""
    if form is not None and form not in FORMS:
        raise UsageError(f"--form {form}", expected=f"one of {', '.join(FORMS)}")
    if top is not None and top < 1:
        raise UsageError(f"--top {top}", expected="1 or more classes")


def with_top(form: ContestForm, top: int) -> ContestForm:
    """Return the form with `top` labels in a row; DataError for labels that contain blanks."""
    spaced = [text for text in form.texts if len(text.split()) != 1]
    if spaced:
        raise DataError(
            list_names("classes have names that contain blanks", spaced),
            expected="names without blanks, since blanks separate the labels of a row",
            remedy="Rename these classes, or choose --form labels or --form probabilities.",
        )
    return replace(form, top=min(top, len(form.texts)))


def _is_share(cell: str) -> bool:
    try:
        return 0.0 <= float(cell) <= 1.0
    except ValueError:
        return False


def _without_suffix(name: str) -> str:
    return name.rpartition(".")[0] if is_picture(name) else name


_KEYS: tuple[Callable[[str], str], ...] = (
    str,
    _without_suffix,
    lambda name: name.rpartition("/")[2],
    lambda name: _without_suffix(name.rpartition("/")[2]),
)


@dataclass(frozen=True)
class _Match:
    """Ids of a template in a test set, by one way to compare them."""

    places: list[int]
    lacking: list[str]
    extra: list[str]

    @property
    def count(self) -> int:
        return len(self.places)

    @classmethod
    def of(cls, ids: Sequence[str], given: Sequence[str], key: Callable[[str], str]) -> "_Match":
        once = {name for name, count in Counter(map(key, given)).items() if count == 1}
        once &= {name for name, count in Counter(map(key, ids)).items() if count == 1}
        place = {key(name): at for at, name in enumerate(given) if key(name) in once}
        found = [place[key(name)] for name in ids if key(name) in place]
        taken = set(found)
        return cls(
            found,
            [name for name in ids if key(name) not in place],
            [name for at, name in enumerate(given) if at not in taken],
        )
