"""Figures, parameters and commands as the command line writes them."""

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.runs.quantities import duration


def remaining(seconds: float | None) -> str:
    """Return `about 2 min left`, or nothing without an estimate."""
    return "" if seconds is None else f"about {duration(seconds)} left"


def short(values: Mapping[str, Any]) -> str:
    """Return parameters in one line, named by the last part of their paths."""
    return "  ".join(f"{last_part(path)}={figure(value)}" for path, value in values.items())


def figure(value: Any) -> str:
    """Return a value with at most four significant digits."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plain(value: Any) -> Any:
    """Return a value for strict JSON: numbers that are not finite become texts such as `inf`."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def with_interval(value: Any, interval: Sequence[float] | None) -> str:
    """Return a score with its 95 % confidence interval, if there is one."""
    if interval is None:
        return figure(value)
    return f"{figure(value)} ({between(value, interval)})"


def between(value: Any, interval: Sequence[float]) -> str:
    """Return the ends of a score's interval, and its method unless it is a bootstrap."""
    # Imports NumPy, which `show` does not need.
    from tunewright.analysis.score_intervals import is_wilsons

    whose = ", Wilson's" if is_wilsons(value, interval) else ""
    return f"{figure(interval[0])} .. {figure(interval[1])}{whose}"


def last_part(path: str) -> str:
    """Return `lr` for `optim.lr`, and `model` for `model.type`."""
    parts = path.split(".")
    return f"{parts[-2]}" if parts[-1] == "type" and len(parts) > 1 else parts[-1]


def format_command(*words: str | Path) -> str:
    """Return a command to copy: `tunewright train 'my runs/best_config.yaml'`."""
    return " ".join(["tunewright", *(quote(word) for word in words)])


def quote(word: str | Path) -> str:
    """Return a word quoted for the shell; `seeds=[1,2,3]` needs no quotes in practice."""
    plain = str(word)
    if isinstance(word, Path) and plain.startswith("-"):
        plain = f"./{plain}"  # a folder, not an option
    return plain if "=[" in plain and " " not in plain else shlex.quote(plain)
