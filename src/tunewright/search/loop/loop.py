"""The search loop: ask, start, read reports, prune and store until all trials are done.

The coordinator only reads run folders and only writes the study. Reports that it had not read when
it died are still in the folders, and the same command reads them when it is run again.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from tunewright.errors import NotWritten, StorageLost
from tunewright.executors.executor import Executor
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import ProgressTail, read_progress
from tunewright.runs.record import EndRequest, Outcome
from tunewright.search.callbacks import StudyCallback, StudyProgress
from tunewright.search.forecast.time_left import assumed_stops
from tunewright.search.forecast.timings import Timings
from tunewright.search.loop.best_checkpoint import BestWeights
from tunewright.search.loop.early_end import EarlyEnd
from tunewright.search.loop.lease import Lease
from tunewright.search.loop.seeds import SeedRuns
from tunewright.search.loop.trial_runs import Live, Run, Search
from tunewright.search.memory.admission import Memory
from tunewright.search.memory.prediction import REMEMBERED
from tunewright.search.signals import StopFlag, stopping_message
from tunewright.search.study.study import SpaceExhausted, Study

WAIT_SECONDS = 0.2
"""Longest sleep of the coordinator between two polls; a report wakes it earlier."""

Ending = Literal["finished", "interrupted", "timed out"]


class Loop:
    """One session of a search. `run` returns when the session ends, and can be called once."""

    def __init__(self, study: Study, search: Search, watch: StudyCallback, lease: Lease) -> None:
        self.study, self.search, self.watch, self._lease = study, search, watch, lease
        self._total = study.reachable(search.total)
        if self._total < search.total:
            again = f", and {study.holes} that failed again" if study.holes else ""
            watch.notice(
                f"the space has no more than {self._total} points for trials of this study, and "
                f"study.trials is {search.total}: each point is tried once{again}"
            )
        self._live: list[Live] = []
        self._stop = StopFlag()
        self._notified: set[str] = set()
        self._deaths: Counter[RunFolder] = Counter()
        record = study.record()
        self._ended = {t.number: t for t in record.own if t.state != "running"}
        self._done = {t.number for t in record.of_state("done") if t.curve}
        self._memory = Memory(search.executor, watch.notice)
        for trial in list(self._ended.values())[-REMEMBERED:]:
            self._memory.learn(search.folder.trial(trial.number), trial.parameters)
        self._replicates = SeedRuns(search, study, self._memory)
        self._weights = BestWeights(search.folder, record)
        self.early_end = EarlyEnd(search, record)
        self._waiting = [search.runs(*begun)[0] for begun in study.running()]
        self._began = time.monotonic()
        assumed = assumed_stops(search.pruner, search.last_step)
        self._timings = Timings(
            search.last_step, self._total, assumed, search.closing, seeds=len(search.seeds)
        )
        self._timings.load(record, search.folder)

    def run(self, executor: Executor, stop: StopFlag) -> Ending:
        """Work until all trials are done, the time is up, or a stop is requested."""
        self._timings.slots, self._stop = executor.slots, stop
        self._memory.executor = executor
        try:
            return self._search(executor, stop)
        except (StorageLost, NotWritten):
            self._save(executor)
            raise

    def _search(self, executor: Executor, stop: StopFlag) -> Ending:
        self._restore_running_trials()
        while True:
            self._lease.renew()
            if stop.set or self._time_is_up():
                if self._live:
                    grace = self.search.executor.grace_seconds
                    self.watch.notice(stopping_message(grace, signalled=stop.set))
                self._pause(executor)
                return "interrupted" if stop.set else "timed out"
            self._fill(executor)
            if not self._live:
                return "finished"
            executor.wait(WAIT_SECONDS)
            self.poll()

    def poll(self) -> None:
        """Read the reports of all runs: store values, prune, and finish the runs that ended."""
        for live in list(self._live):
            self._read(live)
            if live.deadline is not None and time.monotonic() > live.deadline:
                live.handle.kill()
        for live in list(self._live):
            if live.handle.ended and live in self._live:
                self._read(live)
                self._on_worker_exit(live)

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
            running=len(self._live),
            pruned=states["pruned"],
            failed=states["failed"] + states["infeasible"],
            best=self._weights.best,
            left_seconds=left,
            done=states["done"],
            live=tuple(sorted({live.run.number for live in self._live})),
            metric=self.search.metric,
        )

    @property
    def _best(self) -> int | None:
        best = self._weights.best
        return None if best is None else best.number

    @property
    def unfinished_trials(self) -> list[int]:
        """Trials that were begun and wait to be resumed."""
        return sorted({run.number for run in [*self._waiting, *(live.run for live in self._live)]})

    def _restore_running_trials(self) -> None:
        """Restore running trials: store their reports and ends since the last session."""
        begun, self._waiting = self._waiting, []
        for run in begun:
            for progress in read_progress(run.folder.progress):
                self._store(run, progress.step, progress.metrics)
            outcome = run.folder.read_outcome()
            if outcome is None or outcome.state == "paused":
                outcome = _pruned_before(run.folder)
            if outcome is not None and not self._memory.retry_after_oom(
                run.name, run.folder, outcome
            ):
                self._finish(run, outcome)
            else:
                self._waiting.append(run)
        if begun := [run for run in self._waiting if run.folder.progress.exists()]:
            numbers = ", ".join(dict.fromkeys(str(run.number) for run in begun))
            self.watch.notice(f"resuming trial {numbers} from the last checkpoint")

    def _fill(self, executor: Executor) -> None:
        while len(self._live) < executor.slots:
            if self._waiting:
                run = self._waiting.pop(0)
            elif (asked := self._ask()) is not None:
                run = asked
            else:
                return
            if not self._start(executor, run):
                self._waiting.insert(0, run)
                return

    def _ask(self) -> Run | None:
        """Return the first run of the next trial; None when there is no further one."""
        if self.study.count >= self._total:
            return None
        why = self.early_end.reason
        if not why:
            try:
                return self.search.runs(*self.study.ask())[0]
            except SpaceExhausted as error:
                if self.study.count == 0:
                    raise
                why = str(error)
        self._total = self.study.count
        if self._live or not self.early_end.failure:  # else an error says it at once
            told = f"the search ends after {self._total} of {self.search.total} trials: {why}"
            self.watch.notice(told)
        return None

    def _start(self, executor: Executor, run: Run) -> bool:
        """Start a run on the executor, if there is enough memory for it now."""
        beside = [live.handle for live in self._live]
        if not self._memory.can_start(run.name, run.folder, run.values, beside):
            return False
        if not run.folder.config.exists():
            if run.first:
                run.folder.write_parameters(run.values)
            tree = self.search.configure(run.values)
            run.folder.write_config(tree if run.first else {**tree, "seed": run.seed})
        attempt = run.folder.begin_attempt()
        [handle] = executor.start([run.folder], self._memory.resources_for(run.folder))
        passed = max(self.study.curves[run.number], default=0)
        limit = self.search.executor.trial_timeout
        self._live.append(
            Live(
                run,
                handle,
                ProgressTail(run.folder.progress, attempt),
                attempt,
                deadline=None if limit is None else time.monotonic() + limit,
                judged=passed - 1,  # the last report may not have been judged
            )
        )
        if run.first:
            self._timings.start_trial(run.number)
        self.watch.on_trial_start(run.number, run.values, handle.status())
        self.watch.on_progress(self.study_progress())
        return True

    def _read(self, live: Live) -> None:
        for progress in live.tail.poll():
            self._store(live.run, progress.step, progress.metrics)
            self._maybe_prune(live)
            number, step, last = live.run.number, progress.step, self.search.last_step
            self._timings.record_report(number, step, progress.seconds)
            self.watch.on_report(number, step, last, progress.metrics, self.study_progress)
            if self._stop.set or self._time_is_up():  # an inline run blocks the loop until its end
                self._ask_to_pause()
        for text in live.tail.notices:
            if text not in self._notified:  # another run may have sent the same notice
                self._notified.add(text)
                self.watch.notice(f"{live.run.name}: {text}")
        live.tail.notices.clear()

    def _store(self, run: Run, step: int, metrics: Mapping[str, float]) -> None:
        """Store a value of a trial's curve, which is the curve of its first run."""
        if run.first and self.search.metric in metrics:
            self.study.report(run.number, step, metrics[self.search.metric])

    def _maybe_prune(self, live: Live) -> None:
        """Ask the pruner about each new value, except after the last step."""
        curves, number = self.study.curves, live.run.number
        if not live.run.first:
            return
        for step in sorted(s for s in curves[number] if s > live.judged):
            live.judged = step
            if step >= self.search.last_step:
                return
            if not self.search.pruner.keeps(number, step, curves, self._done):
                reason = self.search.pruner.reason(number, step)
                live.run.folder.write_request(EndRequest("prune", live.attempt, reason))
                live.judged = self.search.last_step  # one request is enough
                return

    def _on_worker_exit(self, live: Live) -> None:
        self._live.remove(live)
        if live.run.number in self._ended:
            self._weights.drop(live.run.folder)  # another run has decided the trial
            return
        outcome = live.run.folder.read_outcome()
        if outcome is None:
            outcome = self._on_worker_crash(live)
        if outcome is None or outcome.state == "paused":
            self._timings.release_slot(live.run.number)
        if outcome is not None:
            self._memory.learn(live.run.folder, live.run.values, outcome)
            if self._memory.retry_after_oom(live.run.name, live.run.folder, outcome):
                self._timings.release_slot(live.run.number)
                self._waiting.append(live.run)
            else:
                self._finish(live.run, outcome)

    def _on_worker_crash(self, live: Live) -> Outcome | None:
        """Return the outcome of a run whose worker died, or None when the run is retried."""
        run = live.run
        if (outcome := _pruned_before(run.folder)) is not None:
            return outcome
        if live.deadline is not None and time.monotonic() > live.deadline:
            limit = self.search.executor.trial_timeout
            return Outcome(
                "failed", live.attempt, "timed out", f"did not finish within {limit:g} s"
            )
        if (outcome := self._memory.oom_outcome(live.handle)) is not None:
            return outcome
        self._deaths[run.folder] += 1
        if self._deaths[run.folder] <= self.search.executor.retries:
            self.watch.notice(f"{run.name}: {live.handle.death}; resuming from its last checkpoint")
            self._waiting.append(run)
            return None
        return Outcome("failed", live.attempt, "killed", live.handle.death)

    def _finish(self, run: Run, outcome: Outcome) -> None:
        """Record the outcome of a run; with its last run, end the trial and store it."""
        if outcome.state == "paused":
            self._waiting.append(run)
            return
        stored = run.folder.read_outcome()
        if stored is None or stored.state == "paused":  # paused: the prune decision stands
            run.folder.write_outcome(outcome)
        taken = self._replicates.record(run, outcome)
        self._waiting = [*taken.pending, *self._waiting]
        if (trial := taken.trial) is None:
            self._timings.release_slot(run.number)
            return
        self._cancel_sibling_seeds(run.number)
        self.study.tell(trial)
        self._ended[run.number] = trial
        if trial.state == "done":
            self._done.add(run.number)
        each = (trial.seconds or 0.0) / max(1, len(trial.seeds))
        self._timings.end_trial(run.number, trial.state, each)
        self._weights.judge(trial)
        self.early_end.judge(trial)
        self.watch.on_trial_end(trial, self.study_progress())
        if (
            text := self._timings.forecast_message(run.folder, time.monotonic() - self._began)
        ) is not None:
            self.watch.notice(text)

    def _cancel_sibling_seeds(self, number: int) -> None:
        """Cancel the other runs of a trial that one run has decided."""
        self._waiting = [run for run in self._waiting if run.number != number]
        for live in self._live:
            if live.run.number == number:
                live.run.folder.write_request(EndRequest("cancel", live.attempt))

    def _pause(self, executor: Executor) -> None:
        """Ask all runs to save themselves and wait for the grace period; `close` kills the rest."""
        self._ask_to_pause()
        grace, budget = self.search.executor.grace_seconds, self.search.budget
        if budget is not None:
            grace = min(grace, max(0.0, budget.seconds_left))
        deadline = time.monotonic() + grace
        while self._live and time.monotonic() < deadline:
            executor.wait(WAIT_SECONDS)
            self.poll()

    def _save(self, executor: Executor) -> None:
        """Ask all runs to save themselves when the storage is lost; nothing is read any more."""
        with contextlib.suppress(NotWritten):
            self._ask_to_pause()
        deadline = time.monotonic() + self.search.executor.grace_seconds
        while time.monotonic() < deadline and not all(live.handle.ended for live in self._live):
            executor.wait(WAIT_SECONDS)

    def _ask_to_pause(self) -> None:
        for live in self._live:
            folder = live.run.folder
            if folder.read_request(live.attempt) is None:  # a prune request takes precedence
                folder.write_request(EndRequest("pause", live.attempt))

    def _time_is_up(self) -> bool:
        timeout, budget = self.search.timeout, self.search.budget
        if budget is not None and budget.ends_search(
            self._timings, self._best, self.search.executor
        ):
            return True
        return timeout is not None and time.monotonic() - self._began > timeout


def _pruned_before(folder: RunFolder) -> Outcome | None:
    """Return the outcome of a run that was asked to prune and whose worker died before it did.

    The decision stands: made again later, among more trials, it might come out differently.
    """
    attempt = folder.attempt
    request = folder.read_request(attempt)
    if request is None or request.kind != "prune":
        return None
    return Outcome("pruned", attempt, reason=request.reason)
