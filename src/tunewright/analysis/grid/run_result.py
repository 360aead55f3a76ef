"""The result of one training, wherever it was stored: parameters and metrics by step."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tunewright.errors import UsageError, did_you_mean
from tunewright.runs.record import Direction, Goal

Value = float | str | bool | None
"""A value of a parameter; equal numbers are one value, however they were written."""
PREFIXES = ("", "val_", "val/", "valid/", "valid_", "eval/", "test/", "test_")
"""What may stand before the name of a metric, the most exact first."""
DIRECTIONS: Mapping[str, Direction] = {
    "psnr": "max",
    "ms_ssim": "max",
    "ms_ssim_db": "max",
    "loss": "min",
    "best_loss": "min",
    "bpp": "min",
    "mse": "min",
    "distortion": "min",
}
"""Metrics whose better end is known; of others it has to be said."""


@dataclass(frozen=True)
class Measured:
    """The metrics of a run at one step. value: of the metric that was asked for, found as `name`.

    step: None where only one value was stored. steps: reports that have the metric.
    """

    name: str
    value: float
    metrics: Mapping[str, float]
    step: int | None
    steps: int


@dataclass(frozen=True)
class RunResult:
    """What one training reported.

    source: where it was read. reports: the metrics by step; one report without a step where only
    the last values were stored. ended_badly: how, if the training did not end well.
    """

    source: str
    parameters: Mapping[str, Value]
    reports: tuple[tuple[int | None, Mapping[str, float]], ...]
    ended_badly: str = ""

    def measured(self, goal: Goal) -> Measured | None:
        """Return the metrics at the step where the goal's metric is best; None without it."""
        known = {name for _, metrics in self.reports for name in metrics}
        name = next((p + goal.metric for p in PREFIXES if p + goal.metric in known), None)
        if name is None:
            return None
        found = [
            (goal.sign * metrics[name], step, metrics)
            for step, metrics in self.reports
            if math.isfinite(metrics.get(name, math.nan))
        ]
        if not found:
            return None
        value, step, metrics = max(found, key=lambda one: one[0])
        return Measured(name, goal.sign * value, metrics, step, len(found))

    @property
    def last_step(self) -> int:
        """The last step that was reported; 0 where no steps are known."""
        return max((step or 0 for step, _ in self.reports), default=0)

    @property
    def metrics(self) -> set[str]:
        """The names of all metrics."""
        return {name for _, metrics in self.reports for name in metrics}


def goal_of(metric: str, maximize: bool | None = None) -> Goal:
    """Return the metric with its direction, which may be written behind it, as in `accuracy:max`.

    maximize: None where the direction is written or well known. Raises UsageError for a metric
    whose better end is not known.
    """
    name, _, written = metric.rpartition(":")
    if name and written in ("max", "min"):
        return goal_of(name, written == "max")
    bare = next((metric[len(p) :] for p in PREFIXES[1:] if metric.startswith(p)), metric)
    known = DIRECTIONS.get(bare)
    if maximize is None and known is None:
        raise UsageError(
            f"the metric {metric} without a direction",
            expected="whether more or less of it is better",
            remedy=did_you_mean(bare, DIRECTIONS)
            or f"Write {metric}:max or {metric}:min; in Python, maximize=True or False.",
        )
    if maximize is None:
        assert known is not None
        return Goal(metric, known)
    return Goal(metric, "max" if maximize else "min")


def parse_value(text: str) -> Value:
    """Return a cell or a part of a name as a value: `1e-3` and `.001` are the same number."""
    plain = text.strip()
    if plain.lower() in ("true", "false"):
        return plain.lower() == "true"
    try:
        return plain_value(float(plain))
    except ValueError:
        return plain or None


def plain_value(value: object) -> Value:
    """Return a value of a parameter; numbers are rounded to 10 digits, so that equal ones meet."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(f"{float(value):.10g}")
    return str(value)


def sort_values(values: Iterable[Value]) -> list[Value]:
    """Return distinct values: numbers by size, then texts, then switches, then "not set"."""

    def key(value: Value) -> tuple[int, float, str]:
        if isinstance(value, bool):
            return 2, float(value), ""
        if isinstance(value, float):
            return 0, value, ""
        return (3, 0.0, "") if value is None else (1, 0.0, value)

    distinct = {(type(value), value): value for value in values}
    return sorted(distinct.values(), key=key)


def label_of(value: Value) -> str:
    """Return a value as an axis or a table shows it."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else value


def is_finite(values: Sequence[Value]) -> bool:
    """Return whether all values are finite numbers."""
    return all(isinstance(v, float) and math.isfinite(v) for v in values)
