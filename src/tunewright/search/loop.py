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
from tunewright.executors.executor import Executor, Handle
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import ProgressTail, read_progress
from tunewright.runs.record import Goal, Outcome, Request, Trial
from tunewright.search.budget import Budget
from tunewright.search.constraints import Constraint
from tunewright.search.estimate import NOTHING_AFTER, Closing, assumed_stops
from tunewright.search.interrupt import StopFlag, stopping
from tunewright.search.ledger import Ledger
from tunewright.search.lock import Lease
from tunewright.search.memory import Memory, with_memory
from tunewright.search.peaks import REMEMBERED
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
    total: trials in the study when it is finished, earlier sessions included. closing: what
    comes after the search. budget: seconds for all of it.
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
    closing: Closing = NOTHING_AFTER
    budget: Budget | None = None

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

    @property
    def name(self) -> str:
        """As it is called in notices."""
        return f"trial {self.number}"


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
        self._ended = {t.number: t for t in record.own if t.state != "running"}
        self._done = {t.number for t in record.of_state("done") if t.curve}
        self._memory = Memory(search.executor, watch.notice)
        for trial in list(self._ended.values())[-REMEMBERED:]:
            self._memory.learn(search.folder.trial(trial.number), trial.parameters)
        self._weights = BestWeights(search.folder, record)
        self._waiting = [self._first_run(number, values) for number, values in study.running()]
        self._began = time.monotonic()
        assumed = assumed_stops(search.pruner, search.last_step)
        self._ledger = Ledger(search.last_step, self._total, assumed, search.closing)
        self._ledger.recall(record, search.folder)

    def run(self, executor: Executor, stop: StopFlag) -> Ending:
        """Work until the trials are spent, the time is up, or a stop is asked for."""
        self._ledger.slots = executor.slots
        self._memory.executor = executor
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
                if self._live:
                    grace = self.search.executor.grace_seconds
                    self.watch.notice(stopping(grace, signalled=stop.set))
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
        states = self._ledger.states
        left = self._ledger.seconds_left(self._best)
        if left is not None and self.search.budget is not None:
            left = min(left, max(0.0, self.search.budget.left))
        return Standing(
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
            if outcome is not None and not self._memory.takes_up(run.name, run.folder, outcome):
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
            if not self._start(executor, run):
                self._waiting.insert(0, run)
                return

    def _start(self, executor: Executor, run: _Run) -> bool:
        """Give a run to the executor, if there is memory for it now."""
        beside = [live.handle for live in self._live]
        if not self._memory.admits(run.name, run.folder, run.values, beside):
            return False
        if not run.folder.config.exists():
            first = run.seed == self.search.seeds[0]
            if first:
                run.folder.write_parameters(run.values)
            tree = self.search.configure(run.values)
            run.folder.write_config(tree if first else {**tree, "seed": run.seed})
        attempt = run.folder.begin_attempt()
        [handle] = executor.start([run.folder], self._memory.need(run.folder))
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
        if run.seed == self.search.seeds[0]:
            self._ledger.started(run.number)
        self.watch.started(run.number, run.values, handle.status())
        self.watch.moved(self.standing())
        return True

    def _read(self, live: _Live) -> None:
        for progress in live.tail.poll():
            self._store(live.run, progress.step, progress.metrics)
            self._maybe_prune(live)
            number, step, last = live.run.number, progress.step, self.search.last_step
            self._ledger.progressed(number, step, progress.seconds)
            self.watch.progressed(number, step, last, progress.metrics, self.standing)
            if self._time_is_up():  # in this very process, nobody else looks before its end
                self._ask_to_pause()

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
        if outcome is None or outcome.state == "paused":
            self._ledger.released(live.run.number)
        if outcome is not None:
            self._memory.learn(live.run.folder, live.run.values, outcome)
            if self._memory.takes_up(live.run.name, live.run.folder, outcome):
                self._waiting.append(live.run)
            else:
                self._finish(live.run, outcome)

    def _after_death(self, live: _Live) -> Outcome | None:
        """The outcome of a run whose worker died, or None when it is taken up again."""
        run = live.run
        if (outcome := _pruned_before(run.folder)) is not None:
            return outcome
        if live.deadline is not None and time.monotonic() > live.deadline:
            limit = self.search.executor.trial_timeout
            return Outcome("failed", live.attempt, "timed out", f"no end after {limit:g} s")
        if (outcome := self._memory.killed(live.handle)) is not None:
            return outcome
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
            self._ledger.released(run.number)
            return
        del self._outcomes[run.number]
        self._call_off(run.number)
        self.study.tell(trial)
        self._ended[run.number] = trial
        if trial.state == "done":
            self._done.add(run.number)
        self._ledger.ended(run.number, trial.state, trial.seconds or 0.0)
        self._weights.judge(trial)
        self.watch.ended(trial, self.standing())
        if (text := self._ledger.outlook(run.folder, time.monotonic() - self._began)) is not None:
            self.watch.notice(text)

    def _call_off(self, number: int) -> None:
        """What is left of a trial that one of its runs has decided."""
        self._waiting = [run for run in self._waiting if run.number != number]
        for live in self._live:
            if live.run.number == number:
                live.run.folder.write_request(Request("cancel", live.attempt))

    def _verdict(self, run: _Run, outcomes: Mapping[int, Outcome]) -> Trial:
        trial = verdict(
            run.number,
            run.values,
            self.study.curves[run.number],
            outcomes,
            self.search.goals,
            self.search.constraints,
        )
        return with_memory(trial, run.folder, outcomes.values())

    def _replicate(self, first: _Run, outcomes: dict[int, Outcome]) -> None:
        """Bring in the runs by the other seeds, before any new trial."""
        runs = [
            _Run(first.number, seed, first.values, first.folder.by_seed(seed))
            for seed in self.search.seeds[1:]
        ]
        for run in reversed(runs):
            outcome = run.folder.read_outcome()
            if (
                outcome is None
                or outcome.state == "paused"
                or self._memory.takes_up(run.name, run.folder, outcome)
            ):
                self._waiting.insert(0, run)
            else:  # before this session
                outcomes[run.seed] = outcome

    def _pause(self, executor: Executor) -> None:
        """Ask all runs to save themselves; those that do not within the grace are killed."""
        self._ask_to_pause()
        grace, budget = self.search.executor.grace_seconds, self.search.budget
        if budget is not None:
            grace = min(grace, max(0.0, budget.left))
        deadline = time.monotonic() + grace
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
        timeout, budget = self.search.timeout, self.search.budget
        if budget is not None and budget.ends_search(
            self._ledger, self._best, self.search.executor
        ):
            return True
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
