"""Callbacks of a study: the command line draws progress with them, a notebook may ignore them."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.errors import printable
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import Trial


@dataclass(frozen=True)
class StudyProgress:
    """Counts and the best trial of a running search, for progress displays.

    failed: includes infeasible trials. left_seconds: until the whole job is done, the final
    training included; None before anything was measured. live: the trials that run now. metric:
    that of the goal. at_most: whether `study.patience` or `training.patience` may end the job
    sooner than in left_seconds. unit: what is counted. paused: trials that wait at a rung.
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
    at_most: bool = False
    unit: str = "trials"
    paused: int = 0


class StudyCallback:
    """Receive the events of a study; a subclass overrides those it needs.

    The coordinator calls these methods in its own thread, so they must return quickly.

    log: the file that its output goes to, when it runs in the background.
    """

    log: Path | None = None

    def on_begin(self, folder: StudyFolder) -> None:
        """Receive the folder of a study that has passed all checks, before its first trial."""

    def notice(self, text: str) -> None:
        """Receive a decision that the user should know about."""

    def on_trial_start(self, number: int, values: Mapping[str, Any], where: str) -> None:
        """Receive the start of a trial on a worker."""

    def on_report(
        self,
        number: int,
        step: int,
        last_step: int,
        metrics: Mapping[str, float],
        progress: Callable[[], StudyProgress],
    ) -> None:
        """Receive the metrics of an epoch of a trial.

        progress: computes the current estimate when called.
        """

    def on_usage(self, number: int | None, usage: Mapping[str, float]) -> None:
        """Receive what an epoch used of its machine, before the epoch itself.

        number: of the trial; None for a single run. usage: some of `runs.record.USAGE`, by name.
        """

    def on_trial_pause(self, trial: Trial, progress: StudyProgress) -> None:
        """Receive a trial that waits at a rung from now on, and may go on later."""

    def on_trial_end(self, trial: Trial, progress: StudyProgress) -> None:
        """Receive a trial that ended, in whatever state."""

    def on_progress(self, progress: StudyProgress) -> None:
        """Receive a change that a progress bar shows."""

    def on_training_start(self, patience: int | None) -> None:
        """Receive the start of a single run; patience: epochs without gain that end it early."""

    def on_training_left(self, seconds: float, *, at_most: bool) -> None:
        """Receive the seconds left of a single run, before its epoch.

        at_most: whether early stopping may end it sooner, at an epoch that nothing tells.
        """

    def on_epoch(
        self, epoch: int, epochs: int, metrics: Mapping[str, float], seconds: float
    ) -> None:
        """Receive the metrics of an epoch of a single run (the final one, or `train`)."""


class PrintNotices(StudyCallback):
    """Print the notices and nothing else: what a script or a notebook should not miss."""

    def notice(self, text: str) -> None:
        """Print one line on standard error."""
        print(f"tunewright: {printable(text)}", file=sys.stderr)
