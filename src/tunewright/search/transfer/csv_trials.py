"""Trials from a CSV file: columns for the parameters, the score and optionally the state."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from tunewright.errors import DataError
from tunewright.images.sources.csv_rows import csv_rows, delimiter_of
from tunewright.recipes.recipe import Recipe
from tunewright.runs.record import TrialState
from tunewright.search.prepare import PreparedStudy
from tunewright.search.transfer.sources import TrialSource, foreign_trial, parameter_names
from tunewright.search.transfer.trial_matching import Candidate, Mismatch

STATES: Mapping[str, TrialState] = {
    "": "done",
    "complete": "done",
    "completed": "done",
    "finished": "done",
    "done": "done",
    "pruned": "pruned",
    "infeasible": "infeasible",
    "fail": "failed",
    "failed": "failed",
    "error": "failed",
    "running": "running",
    "waiting": "running",
}
"""Values of a column `state`, as Optuna, Tunewright and others write them."""
ABOUT = ("datetime_", "user_attrs_", "system_attrs_", "intermediate_values_")
BESIDE = ("number", "duration", "trial", "seconds", "")
"""Columns that do not concern the configuration: prefixes, and whole names."""


def csv_trials(file: Path, recipe: Recipe, prepared: PreparedStudy) -> TrialSource:
    """Return the rows of a CSV file as trials, numbered from 1 below the header.

    A parameter's column has its path, an alias, or `params_` before it, as in Optuna's
    `trials_dataframe`; the score's is named after the goal, `score` or `value`. An empty cell is no
    value. Raises DataError for a file without a score, and for rows that cannot be read.
    """
    header, rows = _read(file)
    scores_in = _score_columns(file, header, prepared)
    names = [
        column
        for column in header
        if column not in (*scores_in, "state", *BESIDE) and not column.startswith(ABOUT)
    ]
    plain = {column.removeprefix("params_"): column for column in names}
    renamed, ignored = parameter_names(recipe, prepared, list(plain))
    trials, left = [], []
    for number, row in enumerate(rows, start=1):
        word = row.get("state", "").rpartition(".")[2].lower()
        if word not in STATES:
            raise DataError(
                f"state = {word!r} in row {number} of {file}",
                expected=f"one of {', '.join(sorted(filter(None, STATES)))}",
            )
        state = STATES[word]
        cells = [_number(row.get(column, ""), column, number, file) for column in scores_in]
        scores = tuple(score for score in cells if score is not None and math.isfinite(score))
        if state == "running":
            left.append(Mismatch("it has not ended"))
        elif state == "done" and len(scores) < len(scores_in):
            left.append(Mismatch("it has no score"))
        else:
            parameters = {own: row[plain[n]] for n, own in renamed.items() if row.get(plain[n])}
            own = foreign_trial(prepared, number, state, parameters, scores or None)
            trials.append((own, Candidate(number, state, parameters, foreign=True)))
    return TrialSource(file.name, str(file.resolve()), tuple(trials), tuple(left), ignored)


def _read(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}", expected="a CSV file in UTF-8") from None
    rows = [[cell.strip() for cell in row] for _, row in csv_rows(file, text, delimiter_of(text))]
    if not (rows := [row for row in rows if any(row)]):
        raise DataError(f"{file} is empty", expected="a header and rows")
    header, *lines = rows
    if len(set(filter(None, header))) < len(list(filter(None, header))):
        raise DataError(f"{file} has a duplicate column: {', '.join(header)}")
    for place, line in enumerate(lines, start=1):
        if len(line) != len(header):
            raise DataError(
                f"row {place} of {file} has {len(line)} cells",
                expected=f"{len(header)}, like the header",
            )
    return header, [dict(zip(header, line, strict=True)) for line in lines]


def _score_columns(file: Path, header: Sequence[str], prepared: PreparedStudy) -> list[str]:
    """Return the column of each goal; that of the first one may have a plain name."""
    columns = []
    for place, goal in enumerate(prepared.settings.goals):
        plain = ("score", "value") if place == 0 else ()
        names = (goal.metric, goal.metric.removeprefix("val_"), *plain)
        found = next((name for name in names if name in header), None)
        if found is None:
            raise DataError(
                f"{file} has the columns {', '.join(filter(None, header))}",
                expected=(
                    f"a column called {' or '.join(dict.fromkeys(names))}, with the scores of the "
                    f"goal {goal.metric}"
                ),
            )
        columns.append(found)
    return columns


def _number(cell: str, column: str, row: int, file: Path) -> float | None:
    if not cell:
        return None
    try:
        return float(cell)
    except ValueError:
        raise DataError(
            f"{column} = {cell!r} in row {row} of {file}", expected="a number"
        ) from None
