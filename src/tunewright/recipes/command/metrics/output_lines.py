"""Read metrics from lines that a script prints: JSON objects, pairs, regular expressions."""

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tunewright.recipes.command.config import MetricsConfig
from tunewright.recipes.command.metrics.reader import (
    METRIC_READERS,
    MetricReader,
    ReaderContext,
    ScriptReport,
)

STEPS = (
    "epoch",
    "step",
    "global_step",
    "iteration",
    "iter",
    "round",
    "_step",
    "trainer/global_step",
)
"""Names of the step, the first of which that a script reports is taken."""
LONGEST = 10_000
"""Characters of a line, after which it is not looked at."""

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
_PAIR = re.compile(
    rf"(?:^|(?<=[\s,;|(\[{{]))(?P<name>[A-Za-z_][\w./@%()-]*)\s*[=:]\s*(?P<value>{_NUMBER})(?![\w.])",
    re.IGNORECASE,
)


def report_of(values: Mapping[str, Any], config: MetricsConfig) -> ScriptReport | None:
    """Return the numbers of one report, with its step; None where there are none.

    Names lose outer blanks, and what is nested gets a path. A step that is not whole is none.
    """
    metrics: dict[str, float] = {}
    _gather(values, "", metrics)
    names = (config.step,) if config.step else STEPS
    found = next((name for name in names if name in metrics), None)
    if found is None:
        found = next((n for name in names if (n := name.capitalize()) in metrics), None)
    if found is None:
        return ScriptReport(None, metrics) if metrics else None
    written = metrics.pop(found)
    step = int(written) if math.isfinite(written) and written == int(written) else None
    report = ScriptReport(step, metrics, found.lower())
    return report if metrics or step is not None else None


def number_of(value: object) -> float | None:
    """Return a number, also one that is written as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _as_float(value)
    if isinstance(value, str) and value.strip():
        return _as_float(value.strip())
    return None


def _as_float(value: float | str) -> float | None:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _gather(values: Mapping[str, Any], prefix: str, metrics: dict[str, float]) -> None:
    for key, value in values.items():
        name = f"{prefix}{str(key).strip()}"
        if type(value) is float:
            metrics[name] = value
        elif isinstance(value, Mapping):
            _gather(value, f"{name}.", metrics)
        elif (number := number_of(value)) is not None:
            metrics[name] = number


class OutputReader(MetricReader):
    """Reads lines of the output; of a progress bar the last state."""

    def __init__(self, config: MetricsConfig) -> None:
        super().__init__()
        self._config = config
        self._patterns = [re.compile(pattern) for pattern in config.pattern]
        self._json = config.output in ("auto", "json")
        self._pairs = config.output in ("auto", "pairs")

    def read_line(self, line: str) -> Iterable[ScriptReport]:
        """Return what the line reports, by the first form that it has."""
        text = line.rpartition("\r")[2].strip()
        values = self._values(text) if 0 < len(text) <= LONGEST else None
        report = report_of(values, self._config) if values else None
        return () if report is None else (report,)

    def _values(self, text: str) -> Mapping[str, Any] | None:
        found: dict[str, Any] = {}
        for pattern in self._patterns:
            if match := pattern.search(text):
                found |= {k: v for k, v in match.groupdict().items() if v is not None}
        if found:
            return found
        if self._json and text[-1] == "}" and (start := text.find("{")) >= 0:
            values = object_in(text[start:])
            if values is not None:
                return values
        return dict(_PAIR.findall(text)) if self._pairs else None


_DECODER = json.JSONDecoder()
"""Of lines, whose length is limited: made once, it takes a third of the time of `parse_json`."""


def object_in(text: str) -> Mapping[str, Any] | None:
    """Return a mapping in JSON, or as Python prints it; None for any other line."""
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return value if isinstance(value, Mapping) else None


@METRIC_READERS
def output(context: ReaderContext, /) -> MetricReader | None:
    """Read the script's output, unless the configuration says not to."""
    config = context.config
    return OutputReader(config) if config.output != "none" or config.pattern else None
