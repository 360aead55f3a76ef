"""What is written beside checkpoints: the metrics of each, and a list of all of them, as JSON."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.runs.atomic import read_json, write_json

INFO = "checkpoint_info.json"
"""The list of all checkpoints of a run: `best`, `kept_best` and `kept_last`, the best or newest
first, and the rule by which they are kept."""


def describe(file: Path, description: Mapping[str, Any] | None) -> dict[str, Any]:
    """Write the JSON file beside `file` where it differs; return its entry in the list.

    description: None for what stands there already.
    """
    beside = file.with_suffix(".json")
    if description is None:
        return {"file": file.name, **(read_json(beside) or {})}
    write_if_changed(beside, description)
    return {"file": file.name, **description}


def write_if_changed(file: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file unless it holds `content` already."""
    if read_json(file) != content:
        write_json(file, content)


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that are finite numbers, which alone JSON can hold."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
