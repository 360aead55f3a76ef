"""The durations of a study's trials, kept up to date while they run."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

from tunewright.recipes.recipe import UNKNOWN_EPOCHS
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.quantities import duration, size
from tunewright.runs.record import StudyRecord, TrialState
from tunewright.search.forecast.disk import EVALUATION_BYTES, REPORT_BYTES, run_bytes, study_bytes
from tunewright.search.forecast.early_stopping import usual_share
from tunewright.search.forecast.replicates import count_replicates
from tunewright.search.forecast.time_left import (
    NO_FINAL_STAGE,
    FinalStageCost,
    Pace,
    RemainingWork,
    TrialTime,
    each_seed,
    pace_of,
    seconds_left,
)

FRESH_SECONDS = 0.25
"""Seconds for which an estimate is reused; a new one goes through all trials."""


@dataclass
class _Running:
    """A trial in a slot. began, reported: times by the clock."""

    began: float
    reported: float
    steps: int
    seconds: float


@dataclass
class Timings:
    """Steps and seconds of each trial, and the time estimates computed from them.

    total: trials of the study when it is finished. assumed: see `RemainingWork`. slots: of the
    executor. seeds: runs per trial, of which only the first is timed here. ends_early: whether
    `study.patience` may end the search before its last trial.
    """

    last_step: int
    total: int
    assumed: Mapping[int, float] = field(default_factory=dict)
    closing: FinalStageCost = NO_FINAL_STAGE
    slots: int = 1
    seeds: int = 1
    ends_early: bool = False
    clock: Callable[[], float] = time.monotonic
    states: Counter[str] = field(default_factory=Counter)
    _ended: dict[int, TrialTime] = field(default_factory=dict)
    _running: dict[int, _Running] = field(default_factory=dict)
    _waiting: dict[int, TrialTime] = field(default_factory=dict)
    _parked: dict[int, TrialTime] = field(default_factory=dict)
    _done_steps: list[int] = field(default_factory=list)
    _announced: bool = False
    _estimated: tuple[float, float | None, Pace | None] | None = None

    def load(self, record: StudyRecord, folder: StudyFolder) -> None:
        """Add the trials of earlier sessions, with the durations stored in their folders."""
        self._announced = bool(record.own)
        for trial in record.own:
            place = folder.trial(trial.number)
            outcome = place.read_outcome()
            steps = max(trial.curve, default=0)
            seconds = outcome.seconds if outcome is not None else 0.0
            if not seconds and (reports := read_progress(place.progress)):
                steps, seconds = reports[-1].step, reports[-1].seconds
            if not trial.has_ended:
                self._waiting[trial.number] = TrialTime(steps, seconds)
            else:
                self.states[trial.state] += 1
                self._ended[trial.number] = TrialTime(steps, seconds)
                if trial.state == "done":
                    self._done_steps.append(steps)

    @property
    def parked(self) -> int:
        """How many trials wait at a rung."""
        return len(self._parked)

    def park(self, number: int) -> None:
        """Record that a waiting trial waits at a rung, and may never go on."""
        if (spent := self._waiting.pop(number, None)) is not None:
            self._parked[number] = spent
        self._estimated = None

    def start_trial(self, number: int) -> None:
        """Record that a trial was given a slot, for the first time or again."""
        before = self._begun_before(number)
        now = self.clock()
        self._running[number] = _Running(now, now, before.steps, before.training_seconds)
        self._estimated = None

    def record_report(self, number: int, step: int, seconds: float) -> None:
        """Record that a trial reported `step` after `seconds` of training in all attempts."""
        if (running := self._running.get(number)) is not None:
            if not running.steps:
                self._estimated = None  # this may be the first measurement
            running.reported, running.steps, running.seconds = self.clock(), step, seconds

    def end_trial(self, number: int, state: TrialState, seconds: float) -> None:
        """Record that a trial ended; `seconds` is from its outcome, 0 if it was killed."""
        self.states[state] += 1
        self._estimated = None
        running = self._running.pop(number, None)
        if running is None:  # ended while no coordinator was running
            before = self._begun_before(number)
            self._ended[number] = TrialTime(before.steps, max(seconds, before.training_seconds))
            self._done_steps += [before.steps] * (state == "done")
            return
        self._done_steps += [running.steps] * (state == "done")
        spent = max(seconds, running.seconds)
        self._ended[number] = TrialTime(running.steps, spent, self.clock() - running.began)

    def release_slot(self, number: int) -> None:
        """Record that a trial lost its slot and waits to be resumed."""
        if (running := self._running.pop(number, None)) is not None:
            self._waiting[number] = TrialTime(running.steps, running.seconds)
        self._estimated = None

    def _begun_before(self, number: int) -> TrialTime:
        none = TrialTime(0, 0.0)
        return self._waiting.pop(number, None) or self._parked.pop(number, None) or none

    def work(self) -> RemainingWork:
        """Return the remaining work and the durations so far."""
        now = self.clock()
        running = [
            TrialTime(r.steps, r.seconds, now - r.began, now - r.reported)
            for r in self._running.values()
        ]
        begun = len(self._ended) + len(running) + len(self._waiting) + len(self._parked)
        return RemainingWork(
            self._length,
            self.slots,
            max(0, self.total - begun),
            tuple(self._ended.values()),
            running,
            tuple(self._waiting.values()),
            self.assumed,
            tuple(self._parked.values()),
        )

    @property
    def _length(self) -> int:
        """The steps of a whole trial; where nobody knew, those of the longest one that was done."""
        if self.last_step < UNKNOWN_EPOCHS or not self._done_steps:
            return self.last_step
        return max(1, *self._done_steps, *(running.steps for running in self._running.values()))

    def seconds_left(self, best: int | None = None) -> float | None:
        """Return the seconds until the whole job is done, with the final training of `best`."""
        left, pace = self._estimates()
        if left is None or pace is None:
            return None
        return left + self.replicate_seconds(pace) + self.closing_seconds(pace, best)

    def replicates(self, pace: Pace, *, so_far: bool = False) -> int:
        """Return how many replicates follow at the most, after all trials or after those so far."""
        if not self.closing.replicate:
            return 0
        lengths = self._done_steps
        whole = min(self.last_step, median(lengths)) if any(lengths) else self.last_step
        stopped = [*self._ended.values(), *self._parked.values()]
        shorter = sum(min(1.0, spent.steps / whole) for spent in stopped)
        shorter -= sum(min(1.0, steps / whole) for steps in lengths)
        trainings = shorter + self.seeds * len(lengths)
        if not so_far:
            each = trainings / len(stopped) if stopped else pace.share_of_steps * self.seeds
            trainings = each * self.total
        return count_replicates(trainings, self.closing, self.last_step)

    def replicate_seconds(self, pace: Pace, *, so_far: bool = False) -> float:
        """Return the seconds of the replicates, if none is dropped; see `replicates`."""
        count, lengths = self.replicates(pace, so_far=so_far), self._done_steps
        steps = median(lengths) if any(lengths) else self.last_step
        return count * (pace.startup + steps * pace.seconds_a_step) / self.slots

    def closing_seconds(self, pace: Pace, best: int | None = None) -> float:
        """Return the seconds of the final training and the evaluation."""
        winner = None if best is None else self._ended.get(best)
        share = self.closing_share or 1.0
        return self.closing.training_seconds(pace, winner, share) + self.closing.evaluation

    @property
    def closing_share(self) -> float | None:
        """The share of its epochs that the final training will take; None where nothing tells.

        With `training.patience`, it is that of the trials that ended by themselves.
        """
        if not self.closing.stops:
            return 1.0
        return usual_share(self._done_steps, self.last_step) if self.closing.alike else None

    @property
    def at_most(self) -> bool:
        """Whether early stopping may end the study or its final training sooner than estimated."""
        return self.ends_early or (self.closing.steps > 0 and self.closing_share is None)

    def pace(self) -> Pace | None:
        """Return the estimated pace of trials; None before anything was measured."""
        return self._estimates()[1]

    def forecast_message(self, run: RunFolder, gone: float) -> str | None:
        """Return a forecast message for the whole study, once, after the first complete trial.

        run: the folder of that trial. gone: seconds that the study has taken so far.
        """
        left = self.seconds_left()
        if self._announced or left is None or self.states["done"] == 0 or self.total == 1:
            return None
        self._announced = True
        own, weights = run_bytes(run)
        final = self.closing.steps > 0
        disk = study_bytes(
            own * self.seeds,
            weights,
            trials=self.total,
            reports=len(read_progress(run.progress)),
            slots=self.slots,
            final=final,
            replicates=self.replicates(pace) if (pace := self.pace()) is not None else 0,
            pages=(EVALUATION_BYTES if self.closing.evaluation else 0)
            + (REPORT_BYTES if self.closing.report else 0),
        )
        whole = any(spent.steps == self.last_step for spent in self._ended.values())
        epochs = f" of {self.last_step} epochs" if whole else ""
        about = "at most" if self.at_most else "about"
        return (
            f"{self.total} trials{epochs}: {about} {duration(gone + left)} in all"
            f"{', the final training included' if final else ''}, about {size(disk)}"
        )

    def pause_seconds(self, grace: float) -> float:
        """Return the seconds that running trials need to save: an epoch, at most `grace`."""
        pace = self.pace()
        usual = pace.seconds_a_step if pace is not None else 0.0
        paces = [r.seconds / r.steps if r.steps else usual for r in self._running.values()]
        return min(grace, max(paces, default=usual))  # none: runs by other seeds

    def _estimates(self) -> tuple[float | None, Pace | None]:
        now = self.clock()
        if self._estimated is None or now - self._estimated[0] > FRESH_SECONDS:
            work = self.work()
            pace = pace_of(work)
            left = seconds_left(work, None if pace is None else each_seed(pace, self.seeds))
            if work.last_step >= UNKNOWN_EPOCHS:  # it would make days of the first report
                left = pace = None
            self._estimated = (now, left, pace)
        return self._estimated[1:]
