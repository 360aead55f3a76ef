"""Figures, parameters and commands as the command line writes them."""

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.runs.quantities import duration


def remaining(seconds: float | None) -> str:
    """`about 2 min left`."""
    return "" if seconds is None else f"about {duration(seconds)} left"


def short(values: Mapping[str, Any]) -> str:
    """Parameters in one line, by the last part of their paths."""
    return "  ".join(f"{last_part(path)}={figure(value)}" for path, value in values.items())


def figure(value: Any) -> str:
    """A value with four significant digits at most."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plain(value: Any) -> Any:
    """A value as JSON can have it: numbers that are not finite become texts, such as `inf`."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def with_interval(value: Any, interval: Sequence[float] | None) -> str:
    """A score, and between which two values it lies with 95 % confidence."""
    if interval is None:
        return figure(value)
    return f"{figure(value)} ({between(value, interval)})"


def between(value: Any, interval: Sequence[float]) -> str:
    """The ends of a score's interval, and whose it is where it is no bootstrap's."""
    # Brings NumPy, which `show` does not need.
    from tunewright.analysis.score_intervals import is_wilsons

    whose = ", Wilson's" if is_wilsons(value, interval) else ""
    return f"{figure(interval[0])} .. {figure(interval[1])}{whose}"


def last_part(path: str) -> str:
    """`lr` for `optim.lr`, and `model` for `model.type`."""
    parts = path.split(".")
    return f"{parts[-2]}" if parts[-1] == "type" and len(parts) > 1 else parts[-1]


def format_command(*words: str | Path) -> str:
    """A command as it can be typed: `tunewright train 'my runs/best_config.yaml'`."""
    return " ".join(["tunewright", *(quote(word) for word in words)])


def quote(word: str | Path) -> str:
    """A word as a shell reads it back; `seeds=[1,2,3]` needs no quotes in practice."""
    plain = str(word)
    if isinstance(word, Path) and plain.startswith("-"):
        plain = f"./{plain}"  # a folder, and no option
    return plain if "=[" in plain and " " not in plain else shlex.quote(plain)
