"""What a study tells whoever watches it; the command line draws it, a notebook may ignore it."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tunewright.runs.record import Trial


@dataclass(frozen=True)
class StudyProgress:
    """Where a stage stands.

    failed: infeasible ones included. left_seconds: until the whole job is done, the final
    training included; None before anything was measured. live: the trials that run now.
    metric: of the goal.
    """

    stage: str
    total: int
    ended: int
    running: int
    pruned: int
    failed: int
    best: Trial | None
    left_seconds: float | None
    done: int = 0
    live: tuple[int, ...] = ()
    metric: str = ""


class StudyCallback:
    """Watches nothing; a subclass watches what it overrides.

    Called by the coordinator, in its own thread; must return quickly.
    """

    def notice(self, text: str) -> None:
        """A decision that the user should know of."""

    def on_trial_start(self, number: int, values: Mapping[str, Any], where: str) -> None:
        """A trial was given to a worker."""

    def on_report(
        self,
        number: int,
        step: int,
        last_step: int,
        metrics: Mapping[str, float],
        standing: Callable[[], StudyProgress],
    ) -> None:
        """A trial finished an epoch. standing: makes an estimate anew, for who wants it."""

    def on_trial_end(self, trial: Trial, standing: StudyProgress) -> None:
        """A trial ended, whichever way."""

    def on_progress(self, standing: StudyProgress) -> None:
        """Something changed that a progress bar shows."""

    def on_epoch(
        self, epoch: int, epochs: int, metrics: Mapping[str, float], seconds: float
    ) -> None:
        """A single run (the final one, or `train`) finished an epoch."""


class Notices(StudyCallback):
    """Prints the notices and nothing else: what a script or a notebook should not miss."""

    def notice(self, text: str) -> None:
        """One line on standard error."""
        print(f"tunewright: {text}", file=sys.stderr)
