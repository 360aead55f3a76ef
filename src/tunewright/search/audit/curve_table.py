"""Audit learning curves that stand in a table: a CSV with a row for each run and epoch."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from tunewright.analysis.audit.judge import FidelityAudit, judge_curves
from tunewright.errors import DataError, UsageError, did_you_mean
from tunewright.recipes.direction import direction_of
from tunewright.runs.record import Direction, Goal

RUNS = ("run", "trial", "configuration", "config", "run_id", "trial_id", "id", "name")
EPOCHS = ("epoch", "step", "iteration", "epochs")
SHOWN = "run,epoch,val_accuracy"


def is_table(name: str) -> bool:
    """Return whether a name is that of a table of curves."""
    return Path(name).suffix.lower() == ".csv"


def audit_table(file: Path, goal: str | None) -> FidelityAudit:
    """Compare early epochs of the curves in a table with their ends.

    goal: its column, with `:max` or `:min`; None for the only column that is left. Raises DataError
    for a table that cannot be read, UsageError for a column that is not there.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            names = list(reader.fieldnames or ())
            run, epoch = _column(file, names, RUNS), _column(file, names, EPOCHS)
            chosen = _goal(names, run, epoch, goal)
            curves: dict[str, dict[int, float]] = {}
            for number, row in enumerate(reader, start=2):
                try:
                    step = int(float(row[epoch]))
                    value = float(row[chosen.metric] or "nan")
                except (TypeError, ValueError, OverflowError):
                    raise DataError(
                        f"{file}, line {number}: {epoch} = {row[epoch]!r}, "
                        f"{chosen.metric} = {row[chosen.metric]!r}",
                        expected="numbers",
                        remedy="Correct the line, or leave it out.",
                    ) from None
                if math.isfinite(value):
                    curves.setdefault(row[run], {})[step] = value
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(
            f"{file} cannot be read: {why}", expected=f"a CSV table with the columns {SHOWN}"
        ) from None
    return judge_curves(file.stem, chosen, dict(enumerate(curves.values())))


def _column(file: Path, names: Sequence[str], known: Sequence[str]) -> str:
    for name in names:
        if name.strip().lower() in known:
            return name
    raise DataError(
        f"{file} has the columns {', '.join(names) or '(none)'}",
        expected=f"one named {', '.join(known[:3])} or {known[3]}",
        remedy=f"Name them like this: {SHOWN}.",
    )


def _goal(names: Sequence[str], run: str, epoch: str, goal: str | None) -> Goal:
    others = [name for name in names if name not in (run, epoch)]
    if goal is None and len(others) != 1:
        raise UsageError(
            f"{len(others)} columns that may be the score: {', '.join(others) or 'none'}",
            expected="one, or its name",
            remedy=f"Name it: --goal {others[0]}:max." if others else f"For example: {SHOWN}.",
        )
    name, _, way = (goal or others[0]).partition(":")
    if name not in others or way not in ("", "max", "min"):
        raise UsageError(
            f"--goal {goal}",
            expected=f"one of {', '.join(others)}, with :max or :min if need be",
            remedy=did_you_mean(name, others),
        )
    direction: Direction = "min" if way == "min" else "max" if way == "max" else direction_of(name)
    return Goal(name, direction)
