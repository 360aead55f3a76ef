"""The loop of the replicates: run the arms that are left with common seeds until the race ends."""

import itertools
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tunewright.analysis.winner.race import RaceState, run_race
from tunewright.config.schema import ExecutorConfig as ExecutorConfig
from tunewright.config.tree import Tree
from tunewright.runs.folder import StudyFolder
from tunewright.runs.question import read_answer, read_question, write_answer
from tunewright.runs.record import Outcome, Progress, Trial
from tunewright.search.callbacks import StudyCallback, StudyProgress
from tunewright.search.loop.lease import Lease
from tunewright.search.loop.run_loop import Live, Run, RunLoop
from tunewright.search.replication.arms import RaceField
from tunewright.search.signals import stopping_message

STAGE = "replicate"


@dataclass(frozen=True)
class ReplicateRun(Run):
    """A training of a trial's configuration with a seed of its own."""

    number: int
    seed: int


@dataclass(frozen=True)
class ReplicatePlan:
    """What the replicates of a study need besides their arms.

    configure: returns the configuration of a trial. last_step: epochs of each. until: the clock
    time at which they are paused. before: seconds of the trials, of one run each. after: seconds of
    what follows the replicates. best: of the search. announced: notices at the begin.
    """

    configure: Callable[[Mapping[str, Any]], Tree]
    last_step: int
    executor: ExecutorConfig
    until: float | None = None
    before: Sequence[float] = ()
    after: float = 0.0
    best: Trial | None = None
    announced: Sequence[str] = ()


class ReplicateLoop(RunLoop[ReplicateRun]):
    """Replicates the arms of a race; neither the sampler nor the study's total knows of it."""

    def __init__(
        self, field: RaceField, plan: ReplicatePlan, watch: StudyCallback, lease: Lease
    ) -> None:
        super().__init__(plan.executor, watch, plan.executor.trial_timeout)
        self.field, self._plan, self.guard = field, plan, lease.renew
        self._seconds: list[float] = []
        self._begun: set[tuple[int, int]] = set()
        self._ended: dict[tuple[int, int], Outcome] = {}
        for trial, seed in itertools.product(field.trials, field.seeds):
            run, outcome = self._make_run(trial, seed), field.outcome(trial, seed)
            if outcome is None or self.memory.retry_after_oom(run.name, run.folder, outcome):
                continue
            self._ended[trial, seed] = outcome
        self.arms = field.with_outcomes(self._ended)

    @property
    def state(self) -> RaceState:
        """Where the race stands."""
        return run_race(self.arms, self.field.seeds, self.field.affordable)

    def study_progress(self) -> StudyProgress:
        """Return how many replicates have ended, and the time left if none is dropped."""
        state, plan = self.state, self._plan
        ended = sum(len(arm.scores) for arm in self.arms)
        running = len(self.live)
        known = self._seconds or plan.before
        rest = max(state.spent, self.field.affordable) - ended
        left = None
        if known:
            left = rest * fmean(known) / max(1, self.executor.slots) + plan.after
        if left is not None and plan.until is not None:
            left = min(left, max(0.0, plan.until - time.monotonic()) + plan.after)
        return StudyProgress(
            stage=STAGE,
            total=max(ended, self.field.affordable),
            ended=ended,
            running=running,
            pruned=0,
            failed=sum(bool(arm.failure) for arm in self.arms),
            best=plan.best,
            left_seconds=left,
            done=ended,
            live=tuple(sorted({live.run.number for live in self.live})),
            metric=self.field.goal.metric,
            at_most=True,
            unit="replicates",
        )

    @property
    def unfinished_count(self) -> int:
        """How many replicates were begun and wait to be resumed."""
        return len(self.waiting) + len(self.live)

    def on_begin(self) -> None:
        """Say what is replicated, and which replicates go on from a checkpoint."""
        for text in self._plan.announced if self.state.pending else ():
            self.watch.notice(text)
        begun = [
            f"trial {trial}, seed {seed}"
            for trial, seed in self.state.pending
            if self.field.folder.replicate(trial, seed).progress.exists()
        ]
        if begun:
            self.watch.notice(f"resuming the replicate of {'; '.join(begun)}")

    def should_pause(self) -> bool:
        """Return whether the share of the time is used up."""
        return self._plan.until is not None and time.monotonic() >= self._plan.until

    def on_stop(self, *, signalled: bool) -> None:
        """Say why the replicates stop, and how long saving may take."""
        self.watch.notice(stopping_message(self.limits.grace_seconds, signalled=signalled))

    def next_run(self) -> ReplicateRun | None:
        """Return the next replicate that the race asks for and that was not begun."""
        for trial, seed in self.state.pending:
            if (trial, seed) not in self._begun:
                self._begun.add((trial, seed))
                return self._make_run(trial, seed)
        return None

    def prepare(self, run: ReplicateRun) -> None:
        """Write the configuration of a replicate that was not begun yet."""
        if run.folder.config.exists():
            return
        ran = self.field.folder.trial(run.number)
        if (domains := ran.read_domains()) is not None:  # an objective looks its values up
            run.folder.write_parameters(run.values, domains=domains)
        run.folder.write_config({**self._plan.configure(run.values), "seed": run.seed})

    def on_start(self, live: Live[ReplicateRun]) -> None:
        """Announce the replicate."""
        self.watch.on_trial_start(live.run.number, live.run.values, live.handle.status())
        self.watch.on_progress(self.study_progress())

    def on_report(self, live: Live[ReplicateRun], progress: Progress) -> None:
        """Pass on an epoch."""
        self.watch.on_usage(live.run.number, progress.usage)
        self.watch.on_report(
            live.run.number,
            progress.step,
            self._plan.last_step,
            progress.metrics,
            self.study_progress,
        )

    def on_read(self, live: Live[ReplicateRun]) -> None:
        """Tell an objective that asks that it is not pruned."""
        folder = live.run.folder
        question = read_question(folder, live.attempt)
        if question is not None and read_answer(folder, question) is None:
            drawn = question.suggest
            told: dict[str, Any] = {"prune": False}
            if drawn:
                told = {
                    "refused": {
                        "came": f"the parameter {drawn!r}, which this trial did not ask for before",
                        "expected": "the parameters that the trial had",
                        "remedy": "",
                    }
                }
            write_answer(folder, question, told)

    def on_end(self, run: ReplicateRun, outcome: Outcome) -> None:
        """Count a replicate, and say which arms it put out of the race."""
        stored = run.folder.read_outcome()
        if stored is None or stored.state == "paused":
            run.folder.write_outcome(outcome)
        if outcome.state == "done" and outcome.seconds:
            self._seconds.append(outcome.seconds)
        if run.seed != self.field.seeds[0]:  # those of the first seed may be the winner's
            shutil.rmtree(run.folder.checkpoints, ignore_errors=True)
        before = self.state
        self._ended[run.number, run.seed] = outcome
        self.arms = self.field.with_outcomes(self._ended)
        after = self.state
        for arm in self.arms:
            if arm.trial == run.number and arm.failure and arm.trial in before.alive:
                self.watch.notice(f"trial {run.number} is out of the race: {arm.failure}")
        for trial, count in after.dropped.items():
            if trial not in before.dropped:
                self.watch.notice(f"trial {trial} is clearly worse after {count} replicates")
        self.cancel(lambda other: other.number not in after.alive)
        self.watch.on_progress(self.study_progress())

    def _make_run(self, trial: int, seed: int) -> ReplicateRun:
        folder = self.field.folder.replicate(trial, seed)
        values = self.field.trials[trial].parameters
        return ReplicateRun(folder, f"trial {trial}, seed {seed}", values, trial, seed)


def drop_weights(folder: StudyFolder, field: RaceField, kept: int | None) -> None:
    """Remove the weights of all replicates but those of the trial `kept`."""
    for arm in field.arms:
        for seed in field.seeds:
            if arm.trial != kept or seed != field.seeds[0]:
                shutil.rmtree(folder.replicate(arm.trial, seed).checkpoints, ignore_errors=True)
