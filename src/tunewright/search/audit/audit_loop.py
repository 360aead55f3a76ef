"""The loop of an audit: trains configurations to their ends, and goes on after one that fails."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from tunewright.config.schema import ExecutorConfig as ExecutorConfig
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome, Progress, Trial
from tunewright.search.callbacks import StudyCallback, StudyProgress
from tunewright.search.loop.run_loop import Live, Run, RunLoop
from tunewright.search.signals import stopping_message


@dataclass(frozen=True)
class AuditRun(Run):
    """One seed of a trial's configuration. epochs: that it trains."""

    number: int
    epochs: int


class AuditLoop(RunLoop[AuditRun]):
    """Trains the runs that are left of an audit.

    ended: how many of the `total` had ended before. on_run_end: called after each.
    """

    def __init__(
        self,
        runs: Sequence[AuditRun],
        metric: str,
        ended: int,
        limits: ExecutorConfig,
        watch: StudyCallback,
        on_run_end: Callable[[], None],
    ) -> None:
        super().__init__(limits, watch)
        self.waiting = list(runs)
        self._metric, self._on_run_end = metric, on_run_end
        self._total = ended + len(runs)
        self._failed = 0
        self._spent: list[float] = []
        self._reached: dict[RunFolder, tuple[float, Progress]] = {}
        self._began: dict[RunFolder, float] = {}

    def progress(self) -> StudyProgress:
        """Return the counts and the time left."""
        ended = self._total - len(self.waiting) - len(self.live)
        return StudyProgress(
            stage="audit",
            total=self._total,
            ended=ended,
            running=len(self.live),
            pruned=0,
            failed=self._failed,
            best=None,
            left_seconds=self._seconds_left(),
            done=ended - self._failed,
            live=tuple(sorted({live.run.number for live in self.live})),
            metric=self._metric,
        )

    def next_run(self) -> AuditRun | None:
        """Return None: all runs wait from the beginning."""
        return None

    def on_stop(self, *, signalled: bool) -> None:
        """Confirm a signal."""
        self.watch.notice(stopping_message(self.limits.grace_seconds, signalled=signalled))

    def on_start(self, live: Live[AuditRun]) -> None:
        """Announce a run."""
        self._began[live.run.folder] = time.monotonic()
        self.watch.on_trial_start(live.run.number, live.run.values, live.handle.status())
        self.watch.on_progress(self.progress())

    def on_report(self, live: Live[AuditRun], progress: Progress) -> None:
        """Pass on an epoch."""
        run = live.run
        if progress.step:
            expected = progress.seconds / progress.step * run.epochs
            self._reached[run.folder] = (expected, progress)
        self.watch.on_usage(run.number, progress.usage)
        self.watch.on_report(run.number, progress.step, run.epochs, progress.metrics, self.progress)

    def on_end(self, run: AuditRun, outcome: Outcome) -> None:
        """Note the end of a run; one that failed is left out of the figures, and named."""
        if run.folder.read_outcome() is None:
            run.folder.write_outcome(outcome)
        done = outcome.state == "done"
        self._failed += not done
        if done:
            self._spent.append(outcome.seconds)
        score = outcome.all_metrics.get(self._metric) if done else None
        _, last = self._reached.get(run.folder, (0.0, None))
        curve = {} if last is None else {last.step: last.metrics.get(self._metric, math.nan)}
        trial = Trial(
            run.number,
            "done" if done else "failed",
            run.values,
            score,
            curve,
            outcome.cause,
            outcome.reason,
            outcome.seconds,
        )
        self._on_run_end()
        self.watch.on_trial_end(trial, self.progress())

    def _seconds_left(self) -> float | None:
        """Return the time left: of a run, the mean of those that ended, else by its epochs."""
        known = self._spent or [expected for expected, _ in self._reached.values()]
        if not known:
            return None
        expected, now = fmean(known), time.monotonic()
        running = [max(0.0, expected - (now - self._began[live.run.folder])) for live in self.live]
        slots = max(1, self.executor.slots)
        return max([(sum(running) + expected * len(self.waiting)) / slots, *running])
