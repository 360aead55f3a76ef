"""A trial as the search by curves sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["running", "paused", "ended"]


@dataclass(frozen=True)
class CurveTrial:
    """A trial as the search sees it.

    curve: scores by step. target: the step that it trains to, or has trained to. length: its last
    step, where trainings differ in length. state: `paused` at its target, or `ended` for good.
    feasible: false where it ran out of memory, diverged, or violates a constraint. own: false for a
    trial of another study, or one that failed, which the model learns from and the quotas do not
    count.
    """

    number: int
    values: Mapping[str, Any]
    curve: Mapping[int, float]
    target: int
    length: int
    state: State
    feasible: bool = True
    own: bool = True

    @property
    def reached(self) -> int:
        """The step it has been trained to; 0 for one that has shown nothing."""
        return max(self.curve, default=0)

    def has_reached(self, step: int) -> bool:
        """Return whether it has been trained to a step, or to its own end before it."""
        return self.reached >= min(step, self.length)

    def has_left(self, step: int, *, is_first: bool) -> bool:
        """Return whether it counts at a rung.

        is_first: the first one, where one that was paused at an earlier first rung counts, too; the
        first rung may have moved on since then.
        """
        return self.has_reached(step) or (is_first and self.state == "paused")
