"""Figures, parameters and commands as the command line writes them."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.result import Result
from tunewright.runs.quantities import duration

if TYPE_CHECKING:
    from rich.console import Console


def remaining(seconds: float | None, *, at_most: bool = False) -> str:
    """Return `about 2 min left`, or nothing without an estimate.

    at_most: say so where early stopping may end it sooner.
    """
    about = "at most" if at_most else "about"
    return "" if seconds is None else f"{about} {duration(seconds)} left"


def short(values: Mapping[str, Any]) -> str:
    """Return parameters in one line, named by the last part of their paths."""
    return "  ".join(f"{last_part(path)}={figure(value)}" for path, value in values.items())


def figure(value: Any) -> str:
    """Return a value with at most four significant digits."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_json(_console: "Console", result: Result) -> None:
    """Print a result as JSON, on standard output."""
    print(json.dumps(result.as_json(), indent=2, allow_nan=False))


def print_line(console: "Console", text: str) -> None:
    """Print a line without wrapping or markup, so that a pipe can read it."""
    console.print(text, soft_wrap=True, markup=False)


def from_here(path: Path) -> Path:
    """Return a path as seen from the working folder, if it lies there."""
    try:
        here = Path.cwd()
    except OSError:  # the working folder was deleted
        return path
    return path.relative_to(here) if path.is_relative_to(here) else path


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
    plain = str(from_here(word) if isinstance(word, Path) else word)
    if isinstance(word, Path) and plain.startswith("-"):
        plain = f"./{plain}"  # a folder, not an option
    return plain if "=[" in plain and " " not in plain else shlex.quote(plain)
