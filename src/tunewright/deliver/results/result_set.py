"""What was read of many trainings, with what was left out."""

from collections.abc import Iterable
from dataclasses import dataclass

from tunewright.analysis.grid.run_result import RunResult

SHOWN = 5
"""How many of several alike notices are listed."""


@dataclass(frozen=True)
class ResultSet:
    """The results of trainings. notices: what was not used, and why; what was assumed."""

    results: tuple[RunResult, ...] = ()
    notices: tuple[str, ...] = ()

    def __add__(self, other: "ResultSet") -> "ResultSet":
        return ResultSet(self.results + other.results, self.notices + other.notices)


def shorten_notices(notices: Iterable[str], more: str) -> list[str]:
    """Return the first notices and a count of the others. more: what they are."""
    found = list(notices)
    left = len(found) - SHOWN
    return [*found[:SHOWN], *([f"and {left} more {more}"] if left > 0 else [])]
