"""Read folders `lambda_<l>_gamma_<g>_wlr_<w>/metrics.json`, as scripts write them."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.analysis.grid.run_result import RunResult, Value, parse_value
from tunewright.deliver.results.parameter_names import GAMMA, LAMBDA, W_LR
from tunewright.deliver.results.result_set import ResultSet, shorten_notices
from tunewright.errors import shorten
from tunewright.runs.documents import parse_json
from tunewright.runs.regular_files import read_regular

NAME = re.compile(r"lambda_([^_]+)_gamma_([^_]+)_wlr_([^_]+)(?:_(?P<rest>.+))?$")
METRICS_FILE = "metrics.json"
MAX_BYTES = 64 << 20
STEP = ("step", "epoch", "_step")
"""Names of the step in a list of reports."""

Reports = tuple[tuple[int | None, Mapping[str, float]], ...]


def is_result_folder(folder: Path) -> bool:
    """Return whether a folder's name says its lambda, gamma and w_lr."""
    return NAME.match(folder.name) is not None


def read_result_folders(folders: list[Path]) -> ResultSet:
    """Read the metrics of each folder; damaged ones and those without any are noticed.

    What follows the value of w_lr in a name, as `_seed_2`, makes a repeat of the same cell.
    """
    results, notices = [], []
    for folder in folders:
        parameters = _parameters(folder.name)
        if isinstance(parameters, str):
            notices.append(f"{folder}: {parameters}")
            continue
        reports = _read_metrics(folder / METRICS_FILE)
        if isinstance(reports, str):
            notices.append(f"{folder / METRICS_FILE}: {reports}")
            continue
        results.append(RunResult(str(folder), parameters, reports))
    return ResultSet(tuple(results), tuple(shorten_notices(notices, "folders cannot be used")))


def _parameters(name: str) -> dict[str, Value] | str:
    """Return the parameters in a folder's name, or why it has none."""
    match = NAME.match(name)
    assert match is not None
    found = dict(zip((LAMBDA, GAMMA, W_LR), map(parse_value, match.groups()), strict=False))
    for key, value in found.items():
        if not isinstance(value, float) or not math.isfinite(value) or value < 0.0:
            return f"{key} = {value!r} in its name is not a number of 0 or more: left out"
    return found


def _read_metrics(file: Path) -> Reports | str:
    """Return the reports in a metrics file, or why there are none.

    It is an object of numbers, an object of lists (a value a step), or a list of objects.
    """
    try:
        stored = parse_json(read_regular(file, most=MAX_BYTES).decode("utf-8-sig"), finite=False)
    except FileNotFoundError:
        return "it does not exist; the run may not have ended"
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return f"it is cut off or damaged ({shorten(str(error), 80)})"
    if isinstance(stored, list):
        rows = [row for row in stored if isinstance(row, Mapping)]
        reports: Reports = tuple((_step(row, i), _numbers(row)) for i, row in enumerate(rows))
    elif isinstance(stored, Mapping):
        reports = _of_mapping(stored)
    else:
        return "it holds no object with metrics"
    if not any(metrics for _, metrics in reports):
        return "no number in it is finite" if stored else "it is empty"
    return reports


def _of_mapping(stored: Mapping[str, Any]) -> Reports:
    lists = {str(k): v for k, v in stored.items() if isinstance(v, list) and v}
    if not lists:
        return ((None, _numbers(stored)),)
    steps = max(map(len, lists.values()))
    return tuple(
        (step, _numbers({k: v[step] for k, v in lists.items() if step < len(v)}))
        for step in range(steps)
    )


def _step(row: Mapping[str, Any], place: int) -> int:
    found = next((row[name] for name in STEP if isinstance(row.get(name), int)), place)
    return int(found)


def _numbers(row: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the finite numbers of an object, those of inner objects by dotted name."""
    found: dict[str, float] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{prefix}{key}.")
        elif (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ):
            found[f"{prefix}{str(key).strip()}"] = float(value)
    return found
