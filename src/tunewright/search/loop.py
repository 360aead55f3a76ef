"""The search: ask, start, listen, prune, tell, until the trials are spent.

The coordinator reads only run folders and writes only the study. Whatever it had not yet read
when it died is still in the folders, and is read when the same command is typed again.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunewright.config.schema import Executor as ExecutorConfig
from tunewright.config.tree import Tree
from tunewright.errors import NotWritten, StorageLost
from tunewright.executors.executor import Executor, Handle, Need
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import ProgressTail, read_progress
from tunewright.runs.record import Goal, Outcome, Request, Trial
from tunewright.search.constraints import Constraint
from tunewright.search.interrupt import StopFlag
from tunewright.search.lock import Lease
from tunewright.search.pruning import Pruner
from tunewright.search.study import Study
from tunewright.search.verdict import verdict
from tunewright.search.watch import Standing, Watch
from tunewright.search.weights import BestWeights

WAIT_SECONDS = 0.2
"""How long the coordinator sleeps at most; a report wakes it earlier."""

Ending = Literal["finished", "interrupted", "timed out"]


@dataclass(frozen=True)
class Search:
    """What a search needs besides its study.

    configure: the complete configuration tree of a trial from its values. seeds: of the runs of
    each trial; the first is the one that `configure` sets. last_step: epochs of the stage.
    total: trials in the study when it is finished, earlier sessions included.
    """

    folder: StudyFolder
    goals: Sequence[Goal]
    constraints: Sequence[Constraint]
    configure: Callable[[Mapping[str, Any]], Tree]
    seeds: Sequence[int]
    last_step: int
    total: int
    pruner: Pruner
    executor: ExecutorConfig
    timeout: float | None = None
    stage: str = "explore"

    @property
    def metric(self) -> str:
        """The metric of the first goal, which prunes."""
        return self.goals[0].metric


@dataclass(frozen=True)
class _Run:
    """One run of a trial; a trial has as many as the search has seeds."""

    number: int
    seed: int
    values: Mapping[str, Any]
    folder: RunFolder


@dataclass
class _Live:
    """A run in the hands of an executor.

    judged: the last step after which the pruner was asked about it.
    """

    run: _Run
    handle: Handle
    tail: ProgressTail
    attempt: int
    deadline: float | None
    judged: int


class Loop:
    """One session of a search; `run` returns when it ends, and can be called once."""

    def __init__(self, study: Study, search: Search, watch: Watch, lease: Lease) -> None:
        self.study, self.search, self.watch, self._lease = study, search, watch, lease
        self._total = study.reachable(search.total)
        if self._total < search.total:
            watch.notice(
                f"the space has no more points than {self._total}, and study.trials is "
                f"{search.total}: each is tried once"
            )
        self._live: list[_Live] = []
        self._deaths: Counter[RunFolder] = Counter()
        self._outcomes: dict[int, dict[int, Outcome]] = {}
        record = study.record()
        self._ended = {t.number: t for t in record.trials if t.state != "running"}
        self._done = {t.number for t in record.of_state("done")}
        self._weights = BestWeights(search.folder, record)
        self._waiting = [self._first_run(number, values) for number, values in study.running()]
        self._began = time.monotonic()
        self._spent: list[float] = []

    def run(self, executor: Executor, stop: StopFlag) -> Ending:
        """Work until the trials are spent, the time is up, or a stop is asked for."""
        try:
            return self._search(executor, stop)
        except (StorageLost, NotWritten):
            self._save(executor)
            raise

    def _search(self, executor: Executor, stop: StopFlag) -> Ending:
        self._take_up()
        while True:
            self._lease.renew()
            if stop.set or self._time_is_up():
                self._pause(executor)
                return "interrupted" if stop.set else "timed out"
            self._fill(executor)
            if not self._live:
                return "finished"
            executor.wait(WAIT_SECONDS)
            self.hear()

    def hear(self) -> None:
        """Read what the runs wrote: store values, prune, and settle those that ended."""
        for live in list(self._live):
            self._read(live)
            if live.deadline is not None and time.monotonic() > live.deadline:
                live.handle.kill()
        for live in list(self._live):
            if live.handle.ended and live in self._live:
                self._read(live)
                self._settle(live)

    def standing(self) -> Standing:
        """Where the search stands."""
        states = [trial.state for trial in self._ended.values()]
        left = self._total - len(self._ended)
        slots = max(1, len(self._live))
        mean = sum(self._spent) / len(self._spent) if self._spent else None
        return Standing(
            stage=self.search.stage,
            total=self._total,
            ended=len(self._ended),
            running=len(self._live),
            pruned=states.count("pruned"),
            failed=states.count("failed") + states.count("infeasible"),
            best=self._weights.best,
            left_seconds=None if mean is None else mean * left / slots,
        )

    @property
    def standing_by(self) -> list[int]:
        """Trials that were begun and wait to be taken up again."""
        return sorted({run.number for run in [*self._waiting, *(live.run for live in self._live)]})

    def _first_run(self, number: int, values: Mapping[str, Any]) -> _Run:
        folder = self.search.folder.trial(number)
        return _Run(number, self.search.seeds[0], dict(values), folder)

    def _take_up(self) -> None:
        """Settle what ended, and bring in what was reported, while nobody listened."""
        begun, self._waiting = self._waiting, []
        for run in begun:
            for progress in read_progress(run.folder.progress):
                self._store(run, progress.step, progress.metrics)
            outcome = run.folder.read_outcome()
            if outcome is None or outcome.state == "paused":
                outcome = _pruned_before(run.folder)
            if outcome is not None:
                self._finish(run, outcome)
            else:
                self._waiting.append(run)
        if self._waiting:
            numbers = ", ".join(str(run.number) for run in self._waiting)
            self.watch.notice(f"taking up trial {numbers} where it stopped")

    def _fill(self, executor: Executor) -> None:
        while len(self._live) < executor.slots:
            if self._waiting:
                run = self._waiting.pop(0)
            elif self.study.count < self._total:
                run = self._first_run(*self.study.ask())
            else:
                return
            self._start(executor, run)

    def _start(self, executor: Executor, run: _Run) -> None:
        if not run.folder.config.exists():
            first = run.seed == self.search.seeds[0]
            if first:
                run.folder.write_parameters(run.values)
            tree = self.search.configure(run.values)
            run.folder.write_config(tree if first else {**tree, "seed": run.seed})
        attempt = run.folder.begin_attempt()
        [handle] = executor.start([run.folder], Need())
        passed = max(self.study.curves[run.number], default=0)
        limit = self.search.executor.trial_timeout
        self._live.append(
            _Live(
                run,
                handle,
                ProgressTail(run.folder.progress, attempt),
                attempt,
                deadline=None if limit is None else time.monotonic() + limit,
                judged=passed - 1,  # what was reported last may not have been judged
            )
        )
        self.watch.started(run.number, run.values, handle.status())
        self.watch.moved(self.standing())

    def _read(self, live: _Live) -> None:
        for progress in live.tail.poll():
            self._store(live.run, progress.step, progress.metrics)
            self._maybe_prune(live)

    def _store(self, run: _Run, step: int, metrics: Mapping[str, float]) -> None:
        """A trial's curve is that of its first run."""
        if run.seed == self.search.seeds[0] and self.search.metric in metrics:
            self.study.report(run.number, step, metrics[self.search.metric])

    def _maybe_prune(self, live: _Live) -> None:
        """Ask the pruner about each new value; after the last step nothing is left to stop."""
        curves, number = self.study.curves, live.run.number
        if live.run.seed != self.search.seeds[0]:
            return
        for step in sorted(s for s in curves[number] if s > live.judged):
            live.judged = step
            if step >= self.search.last_step:
                return
            if not self.search.pruner.keeps(number, step, curves, self._done):
                reason = self.search.pruner.reason(number, step)
                live.run.folder.write_request(Request("prune", live.attempt, reason))
                live.judged = self.search.last_step  # one request is enough
                return

    def _settle(self, live: _Live) -> None:
        self._live.remove(live)
        outcome = live.run.folder.read_outcome()
        if outcome is None:
            outcome = self._after_death(live)
        if outcome is not None:
            self._finish(live.run, outcome)

    def _after_death(self, live: _Live) -> Outcome | None:
        """The outcome of a run whose worker died, or None when it is taken up again."""
        run = live.run
        if (outcome := _pruned_before(run.folder)) is not None:
            return outcome
        if live.deadline is not None and time.monotonic() > live.deadline:
            limit = self.search.executor.trial_timeout
            return Outcome("failed", live.attempt, "timed out", f"no end after {limit:g} s")
        self._deaths[run.folder] += 1
        if self._deaths[run.folder] <= self.search.executor.retries:
            self.watch.notice(
                f"trial {run.number}: {live.handle.death}; taken up from its last checkpoint"
            )
            self._waiting.append(run)
            return None
        return Outcome("failed", live.attempt, "killed", live.handle.death)

    def _finish(self, run: _Run, outcome: Outcome) -> None:
        """A run ended; with the last of its runs the trial does, and the study is told."""
        if run.number in self._ended:
            return  # another of its runs had already decided
        if outcome.state == "paused":
            self._waiting.append(run)
            return
        if run.folder.read_outcome() is None:
            run.folder.write_outcome(outcome)
        outcomes = self._outcomes.setdefault(run.number, {})
        outcomes[run.seed] = outcome
        trial = self._verdict(run, outcomes)
        if trial.state == "done" and len(outcomes) == 1:
            self._replicate(run, outcomes)
            trial = self._verdict(run, outcomes)
        if trial.state == "done" and len(outcomes) < len(self.search.seeds):
            return
        del self._outcomes[run.number]
        self._call_off(run.number)
        self.study.tell(trial)
        self._ended[run.number] = trial
        if trial.state == "done":
            self._done.add(run.number)
        self._spent.append(outcome.seconds)
        self._weights.judge(trial)
        self.watch.ended(trial, self.standing())

    def _call_off(self, number: int) -> None:
        """What is left of a trial that one of its runs has decided."""
        self._waiting = [run for run in self._waiting if run.number != number]
        for live in self._live:
            if live.run.number == number:
                live.run.folder.write_request(Request("cancel", live.attempt))

    def _verdict(self, run: _Run, outcomes: Mapping[int, Outcome]) -> Trial:
        return verdict(
            run.number,
            run.values,
            self.study.curves[run.number],
            outcomes,
            self.search.goals,
            self.search.constraints,
        )

    def _replicate(self, first: _Run, outcomes: dict[int, Outcome]) -> None:
        """Bring in the runs by the other seeds, before any new trial."""
        runs = [
            _Run(first.number, seed, first.values, first.folder.by_seed(seed))
            for seed in self.search.seeds[1:]
        ]
        for run in reversed(runs):
            outcome = run.folder.read_outcome()
            if outcome is None or outcome.state == "paused":
                self._waiting.insert(0, run)
            else:  # before this session
                outcomes[run.seed] = outcome

    def _pause(self, executor: Executor) -> None:
        """Ask all runs to save themselves; those that do not within the grace are killed."""
        self._ask_to_pause()
        deadline = time.monotonic() + self.search.executor.grace_seconds
        while self._live and time.monotonic() < deadline:
            executor.wait(WAIT_SECONDS)
            self.hear()

    def _save(self, executor: Executor) -> None:
        """Without a storage the runs are still asked to save themselves, and nothing is read."""
        with contextlib.suppress(NotWritten):
            self._ask_to_pause()
        deadline = time.monotonic() + self.search.executor.grace_seconds
        while time.monotonic() < deadline and not all(live.handle.ended for live in self._live):
            executor.wait(WAIT_SECONDS)

    def _ask_to_pause(self) -> None:
        for live in self._live:
            folder = live.run.folder
            if folder.read_request(live.attempt) is None:  # to prune outweighs to pause
                folder.write_request(Request("pause", live.attempt))

    def _time_is_up(self) -> bool:
        timeout = self.search.timeout
        return timeout is not None and time.monotonic() - self._began > timeout


def _pruned_before(folder: RunFolder) -> Outcome | None:
    """How a run ends that was asked to, and whose worker was gone before it could answer.

    The decision stands: asked again later, among more trials, it might fall otherwise.
    """
    attempt = folder.attempt
    request = folder.read_request(attempt)
    if request is None or request.kind != "prune":
        return None
    return Outcome("pruned", attempt, reason=request.reason)
