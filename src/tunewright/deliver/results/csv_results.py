"""Read a CSV export of a tracker or of Optuna: one row a training."""

import math
from pathlib import Path

from tunewright.analysis.grid.run_result import RunResult
from tunewright.deliver.results.parameter_names import (
    NAMES,
    PREFIXES,
    SEED,
    canonical_name,
    canonical_parameters,
)
from tunewright.deliver.results.result_set import ResultSet, shorten_notices
from tunewright.errors import DataError
from tunewright.images.sources.csv_rows import read_csv

STATE = ("state", "status")
GOOD = ("", "complete", "completed", "finished", "done", "success")
BAD = ("failed", "fail", "crashed", "killed", "error")
SUMMARY = ("summary.", "summary/", "metrics.", "metrics/")
"""What exports put before the name of a metric."""


def read_csv_results(file: Path) -> ResultSet:
    """Return a result for each row of a CSV file with a column of gamma, w_lr or lambda.

    Parameters are those columns, `params_*` and `config.*`; all others that hold numbers are
    metrics. Names are compared without outer blanks. A file that is no such table is noticed.
    """
    try:
        table = read_csv(file)
    except DataError as error:
        return ResultSet(notices=(f"{error.came}: left out",))
    parameters = {
        name
        for name in table.columns
        if canonical_name(name) in NAMES or name.startswith(PREFIXES) or name in SEED
    }
    if not any(canonical_name(name) in NAMES for name in parameters):
        return ResultSet(notices=(f"{file} has no column gamma, w_lr or lambda: left out",))
    results, notices = [], []
    for line, row in zip(table.lines, table.cells, strict=True):
        cells = {name: cell.strip() for name, cell in zip(table.columns, row, strict=True)}
        state = next((cells[name] for name in cells if name.lower() in STATE), "")
        state = state.rpartition(".")[2].lower()  # Optuna writes TrialState.COMPLETE
        numbers = {
            _metric(name): number
            for name, cell in cells.items()
            if name not in parameters and (number := _number(cell)) is not None
        }
        if state not in (*GOOD, *BAD) or not numbers:
            why = f"its state is {state!r}" if numbers else "it has no metric"
            notices.append(f"{file}, line {line}: {why}: left out")
            continue
        given = canonical_parameters({name: cells[name] for name in sorted(parameters)})
        ended = f"is marked as {state}" if state in BAD else ""
        results.append(RunResult(f"{file}, line {line}", given, ((None, numbers),), ended))
    left = shorten_notices(notices, f"rows of {file} are left out")
    return ResultSet(tuple(results), tuple(left))


def _metric(name: str) -> str:
    return name.removeprefix(next((p for p in SUMMARY if name.startswith(p)), ""))


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
