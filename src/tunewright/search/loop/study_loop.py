"""The loop of a search: ask for trials, prune them, and store their results until all are done.

The coordinator only reads run folders and only writes the study. Reports that it had not read when
it died are still in the folders, and the same command reads them when it is run again.
"""

import time
from collections.abc import Mapping
from typing import Any

from tunewright.runs.progress import read_progress
from tunewright.runs.record import EndRequest, Outcome, Progress, Trial
from tunewright.search.callbacks import StudyCallback, StudyProgress
from tunewright.search.forecast.time_left import assumed_stops
from tunewright.search.forecast.timings import Timings
from tunewright.search.loop.answers import answer
from tunewright.search.loop.best_checkpoint import BestWeights
from tunewright.search.loop.early_end import EarlyEnd
from tunewright.search.loop.kept_predictions import KeptPredictions
from tunewright.search.loop.lease import Lease
from tunewright.search.loop.run_loop import Live, RunLoop, pruned_before
from tunewright.search.loop.seeds import SeedRuns
from tunewright.search.loop.trial_runs import Search, TrialRun
from tunewright.search.memory.prediction import REMEMBERED
from tunewright.search.signals import stopping_message
from tunewright.search.study.define_by_run import DefineByRunStudy
from tunewright.search.study.study import SpaceExhausted, Study


class StudyLoop(RunLoop[TrialRun]):
    """One session of a search. `run` returns when the session ends, and can be called once."""

    def __init__(self, study: Study, search: Search, watch: StudyCallback, lease: Lease) -> None:
        super().__init__(search.executor, watch, search.executor.trial_timeout)
        self.study, self.search, self.guard = study, search, lease.renew
        self._total, self._no_point_left = study.reachable(search.total), False
        if self._total < search.total:
            again = f", and {study.holes} that failed again" if study.holes else ""
            watch.notice(
                f"the space has no more than {self._total} points for trials of this study, and "
                f"study.trials is {search.total}: each point is tried once{again}"
            )
        self._begun_with = record = study.record()
        self._ended = {t.number: t for t in record.own if t.has_ended}
        self._done = {t.number for t in record.of_state("done") if t.curve}
        self._judged: dict[int, int] = {}  # by trial, the last step that the pruner was asked about
        for trial in list(self._ended.values())[-REMEMBERED:]:
            self.memory.learn(search.folder.trial(trial.number), trial.parameters)
        self.proposed: Mapping[str, Any] | None = None  # the point that is tried next, if decided
        self._replicates = SeedRuns(search, study, self.memory)
        self._weights = BestWeights(search.folder, record, search.keep_weights)
        self._predictions = KeptPredictions(search.folder, record, search.keep_predictions_mib)
        self.early_end = EarlyEnd(search, record)
        self.waiting = [search.runs(*begun)[0] for begun in study.running()]
        self._began = time.monotonic()
        assumed = assumed_stops(search.pruner, search.last_step)
        self._timings = Timings(
            search.last_step,
            self._total,
            assumed,
            search.closing,
            seeds=len(search.seeds),
            ends_early=search.patience is not None,
        )
        self._timings.load(record, search.folder)

    @property
    def space_is_exhausted(self) -> bool:
        """Whether every point of the space has been tried, so that more trials change nothing."""
        count = self.study.count
        return self._no_point_left or self.study.reachable(count + 1) == count

    def study_progress(self) -> StudyProgress:
        """Return the current counts, the best trial and the time left."""
        states = self._timings.states
        left = self._timings.seconds_left(self._best)
        if left is not None and self.search.budget is not None:
            left = min(left, max(0.0, self.search.budget.seconds_left))
        return StudyProgress(
            stage=self.search.stage,
            total=self._total,
            ended=len(self._ended),
            running=len(self.live),
            paused=self._timings.parked,
            pruned=states["pruned"],
            failed=states["failed"] + states["infeasible"],
            best=self._weights.best,
            left_seconds=left,
            done=states["done"],
            live=tuple(sorted({live.run.number for live in self.live})),
            metric=self.search.metric,
            at_most=self._timings.at_most,
        )

    @property
    def closing_seconds(self) -> float:
        """Seconds of the final training and the evaluation; 0 before anything was measured."""
        pace = self._timings.pace()
        return 0.0 if pace is None else self._timings.closing_seconds(pace, self._best)

    @property
    def unfinished_trials(self) -> list[int]:
        """Trials that were begun and wait to be resumed."""
        return sorted({run.number for run in [*self.waiting, *(live.run for live in self.live)]})

    @property
    def grace_seconds(self) -> float:
        """The grace period, within what is left of the budget."""
        grace, budget = self.limits.grace_seconds, self.search.budget
        return grace if budget is None else min(grace, max(0.0, budget.seconds_left))

    def on_begin(self) -> None:
        """Restore running trials: store their reports and ends since the last session."""
        self._timings.slots = self.executor.slots
        begun, self.waiting = self.waiting, []
        for run in begun:
            for progress in read_progress(run.folder.progress):
                self._store(run, progress.step, progress.metrics)
            outcome = run.folder.read_outcome()
            if outcome is None or outcome.state == "paused":
                outcome = pruned_before(run.folder)
            if outcome is not None and not self.memory.retry_after_oom(
                run.name, run.folder, outcome
            ):
                self.on_end(run, outcome)
            else:
                self.waiting.append(run)
        started = [run for run in self.waiting if run.folder.progress.exists()]
        if begun := [run for run in started if not self.parks(run)]:
            numbers = ", ".join(dict.fromkeys(str(run.number) for run in begun))
            self.watch.notice(f"resuming trial {numbers} from the last checkpoint")

    def should_pause(self) -> bool:
        """Return whether the time for the search is up."""
        timeout, budget = self.search.timeout, self.search.budget
        if budget is not None and budget.ends_search(self._timings, self._best, self.limits):
            return True
        return timeout is not None and time.monotonic() - self._began > timeout

    def on_stop(self, *, signalled: bool) -> None:
        """Say why the search stops, and how long saving may take."""
        self.watch.notice(stopping_message(self.limits.grace_seconds, signalled=signalled))

    def next_run(self) -> TrialRun | None:
        """Ask the study for a trial, and return its first run; None when there is none left."""
        if self.study.count >= self._total:
            return None
        why = self.early_end.reason
        if not why:
            try:
                return self.search.runs(*self.study.ask(self.proposed))[0]
            except SpaceExhausted as error:
                if self.study.count == 0:
                    raise
                why, self._no_point_left = str(error), True
        self._total = self.study.count
        if self.live or not self.early_end.failure:  # else an error says it at once
            self.watch.notice(
                f"the search ends after {self._total} of {self.search.total} trials: {why}"
            )
        return None

    def prepare(self, run: TrialRun) -> None:
        """Write the parameters and the configuration of a run that was not begun yet."""
        if run.folder.config.exists():
            return
        if run.first:
            run.folder.write_parameters(run.values)
        tree = self.search.configure(run.values)
        run.folder.write_config(tree if run.first else {**tree, "seed": run.seed})

    def on_start(self, live: Live[TrialRun]) -> None:
        """Begin the timing of a trial, and announce the run."""
        run = live.run
        if run.first:
            self.study.mark_paused(run.number, "")  # it waited, maybe for another sampler
            # The last report may not have been judged.
            self._judged[run.number] = max(self.study.curves[run.number], default=0) - 1
            self._timings.start_trial(run.number)
        self.watch.on_trial_start(run.number, run.values, live.handle.status())
        self.watch.on_progress(self.study_progress())

    def on_report(self, live: Live[TrialRun], progress: Progress) -> None:
        """Store a report, and prune the trial if the pruner does not keep it."""
        self._store(live.run, progress.step, progress.metrics)
        if not isinstance(self.study, DefineByRunStudy):  # its trials are judged when they ask
            self._maybe_prune(live)
        number, step, last = live.run.number, progress.step, self.search.last_step
        self._timings.record_report(number, step, progress.seconds)
        self.watch.on_usage(number, progress.usage)
        self.watch.on_report(number, step, last, progress.metrics, self.study_progress)

    def on_read(self, live: Live[TrialRun]) -> None:
        """Answer what a trial asks that names its parameters while it runs."""
        if isinstance(self.study, DefineByRunStudy):
            live.run = answer(self.study, live.run, live.attempt, lambda: self._maybe_prune(live))

    def on_requeue(self, run: TrialRun, *, paused: bool) -> None:
        """Stop the timing of a trial that waits to be resumed."""
        self._timings.release_slot(run.number)

    def as_stored(self, trial: Trial) -> Trial:
        """Return an ended trial as the study stores it; unchanged by default."""
        return trial

    def on_cancelled(self, run: TrialRun) -> None:
        """Drop the weights of a run whose trial another run has decided."""
        self._weights.drop(run.folder)

    def on_end(self, run: TrialRun, outcome: Outcome) -> None:
        """Record the outcome of a run; with its last run, end the trial and store it."""
        stored = run.folder.read_outcome()
        if stored is None or stored.state == "paused":  # paused: the prune decision stands
            run.folder.write_outcome(outcome)
        if run.first and isinstance(self.study, DefineByRunStudy):
            run.folder.write_config(self.search.configure(run.values))  # not known at its begin
        taken = self._replicates.record(run, outcome)
        self.waiting = [*taken.pending, *self.waiting]
        if (trial := taken.trial) is None:
            self._timings.release_slot(run.number)
            return
        self.cancel(lambda other: other.number == run.number)
        trial = self.as_stored(trial)
        self.study.tell(trial)
        self._ended[run.number] = trial
        if trial.state == "done":
            self._done.add(run.number)
        each = (trial.seconds or 0.0) / max(1, len(trial.seeds))
        self._timings.end_trial(run.number, trial.state, each)
        self._weights.judge(trial)
        self._predictions.judge(trial)
        self.early_end.judge(trial)
        self.watch.on_trial_end(trial, self.study_progress())
        if (
            text := self._timings.forecast_message(run.folder, time.monotonic() - self._began)
        ) is not None:
            self.watch.notice(text)

    @property
    def _best(self) -> int | None:
        best = self._weights.best
        return None if best is None else best.number

    def _store(self, run: TrialRun, step: int, metrics: Mapping[str, float]) -> None:
        """Store a value of a trial's curve, which is the curve of its first run."""
        if run.first and self.search.metric in metrics:
            self.study.report(run.number, step, metrics[self.search.metric])

    def _maybe_prune(self, live: Live[TrialRun]) -> None:
        """Ask the pruner about each new value, except after the last step."""
        curves, number = self.study.curves, live.run.number
        if not live.run.first:
            return
        for step in sorted(s for s in curves[number] if s > self._judged[number]):
            self._judged[number] = step
            if step >= self.search.last_step:
                return
            if not self.search.pruner.keeps(number, step, curves, self._done):
                self._judged[number] = self.search.last_step  # one request is enough
                if self.search.audits(number):
                    self.study.mark_audited(number, step)
                    return
                reason = self.search.pruner.reason(number, step)
                live.run.folder.write_request(EndRequest("prune", live.attempt, reason))
                return
