"""The search: ask, start, listen, prune, tell, until the trials are spent.

The coordinator reads only run folders and writes only the study. Whatever it had not yet read
when it died is still in the folders, and is read when the same command is typed again.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tunewright.config.schema import Executor as ExecutorConfig
from tunewright.executors.executor import Executor, Handle
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import ProgressTail, read_progress
from tunewright.runs.record import INFEASIBLE, Cause, Outcome, Request, Trial, TrialState
from tunewright.search.interrupt import StopFlag
from tunewright.search.ladder import attributes as memory_attributes
from tunewright.search.lock import Lease
from tunewright.search.memory import Memory
from tunewright.search.peaks import REMEMBERED
from tunewright.search.pruning import Pruner
from tunewright.search.study import Study
from tunewright.search.watch import Standing, Watch

WAIT_SECONDS = 0.2
"""How long the coordinator sleeps at most; a report wakes it earlier."""

Ending = Literal["finished", "interrupted", "timed out"]


@dataclass(frozen=True)
class Search:
    """What a search needs besides its study.

    configure: the complete configuration tree of a trial from its values. last_step: epochs
    of the stage. total: trials in the study when it is finished, earlier sessions included.
    """

    folder: StudyFolder
    metric: str
    direction: Literal["max", "min"]
    configure: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    last_step: int
    total: int
    pruner: Pruner
    executor: ExecutorConfig
    timeout: float | None = None
    stage: str = "explore"


@dataclass
class _Live:
    """A trial in the hands of an executor.

    judged: the last step after which the pruner was asked about it.
    """

    number: int
    values: Mapping[str, Any]
    folder: RunFolder
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
        self._live: dict[int, _Live] = {}
        self._deaths: dict[int, int] = {}
        record = study.record()
        self._ended = {t.number: t for t in record.trials if t.state != "running"}
        self._done = {t.number for t in record.of_state("done")}
        self._best = record.best
        self._drop_losers()
        self._memory = Memory(search.executor, watch.notice)
        for trial in list(self._ended.values())[-REMEMBERED:]:
            self._memory.learn(search.folder.trial(trial.number), trial.parameters)
        self._waiting = study.running()
        self._began = time.monotonic()
        self._spent: list[float] = []

    def run(self, executor: Executor, stop: StopFlag) -> Ending:
        """Work until the trials are spent, the time is up, or a stop is asked for."""
        self._memory.executor = executor
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
        for live in list(self._live.values()):
            self._read(live)
            if live.deadline is not None and time.monotonic() > live.deadline:
                live.handle.kill()
        for live in list(self._live.values()):
            if live.handle.ended and live.number in self._live:
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
            best=self._best,
            left_seconds=None if mean is None else mean * left / slots,
        )

    @property
    def standing_by(self) -> list[int]:
        """Trials that were begun and wait to be taken up again."""
        return sorted({*(number for number, _ in self._waiting), *self._live})

    def _take_up(self) -> None:
        """Settle what ended, and bring in what was reported, while nobody listened."""
        waiting, self._waiting = self._waiting, []
        for number, values in waiting:
            folder = self.search.folder.trial(number)
            for progress in read_progress(folder.progress):
                self._store(number, progress.step, progress.metrics)
            outcome = folder.read_outcome()
            if outcome is None or outcome.state == "paused":
                outcome = _pruned_before(folder)
            if outcome is not None and not self._memory.takes_up(
                f"trial {number}", folder, outcome
            ):
                self._finish(number, values, folder, outcome)
            else:
                self._waiting.append((number, values))
        if self._waiting:
            numbers = ", ".join(str(number) for number, _ in self._waiting)
            self.watch.notice(f"taking up trial {numbers} where it stopped")

    def _fill(self, executor: Executor) -> None:
        while len(self._live) < executor.slots:
            if self._waiting:
                number, values = self._waiting.pop(0)
            elif self.study.count < self._total:
                number, values = self.study.ask()
            else:
                return
            if not self._start(executor, number, values):
                self._waiting.insert(0, (number, dict(values)))
                return

    def _start(self, executor: Executor, number: int, values: Mapping[str, Any]) -> bool:
        """Give a trial to the executor, if there is memory for it now."""
        folder = self.search.folder.trial(number)
        beside = [live.handle for live in self._live.values()]
        if not self._memory.admits(f"trial {number}", folder, values, beside):
            return False
        if not folder.config.exists():
            folder.write_config(self.search.configure(values))
        attempt = folder.begin_attempt()
        [handle] = executor.start([folder], self._memory.need(folder))
        passed = max(self.study.curves[number], default=0)
        limit = self.search.executor.trial_timeout
        self._live[number] = _Live(
            number,
            values,
            folder,
            handle,
            ProgressTail(folder.progress, attempt),
            attempt,
            deadline=None if limit is None else time.monotonic() + limit,
            judged=passed - 1,  # what was reported last may not have been judged
        )
        self.watch.started(number, values, handle.status())
        self.watch.moved(self.standing())
        return True

    def _read(self, live: _Live) -> None:
        for progress in live.tail.poll():
            self._store(live.number, progress.step, progress.metrics)
            self._maybe_prune(live)

    def _store(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        if self.search.metric in metrics:
            self.study.report(number, step, metrics[self.search.metric])

    def _maybe_prune(self, live: _Live) -> None:
        """Ask the pruner about each new value; after the last step nothing is left to stop."""
        curves = self.study.curves
        for step in sorted(s for s in curves[live.number] if s > live.judged):
            live.judged = step
            if step >= self.search.last_step:
                return
            if not self.search.pruner.keeps(live.number, step, curves, self._done):
                reason = self.search.pruner.reason(live.number, step)
                live.folder.write_request(Request("prune", live.attempt, reason))
                live.judged = self.search.last_step  # one request is enough
                return

    def _settle(self, live: _Live) -> None:
        del self._live[live.number]
        outcome = live.folder.read_outcome()
        if outcome is None:
            outcome = self._after_death(live)
        if outcome is not None:
            self._memory.learn(live.folder, live.values, outcome)
            if self._memory.takes_up(f"trial {live.number}", live.folder, outcome):
                self._waiting.append((live.number, dict(live.values)))
            else:
                self._finish(live.number, live.values, live.folder, outcome)

    def _after_death(self, live: _Live) -> Outcome | None:
        """The outcome of a run whose worker died, or None when it is taken up again."""
        if (outcome := _pruned_before(live.folder)) is not None:
            return outcome
        if live.deadline is not None and time.monotonic() > live.deadline:
            limit = self.search.executor.trial_timeout
            return Outcome("failed", live.attempt, "timed out", f"no end after {limit:g} s")
        if (outcome := self._memory.killed(live.handle)) is not None:
            return outcome
        self._deaths[live.number] = self._deaths.get(live.number, 0) + 1
        if self._deaths[live.number] <= self.search.executor.retries:
            self.watch.notice(
                f"trial {live.number}: {live.handle.death}; taken up from its last checkpoint"
            )
            self._waiting.append((live.number, dict(live.values)))
            return None
        return Outcome("failed", live.attempt, "killed", live.handle.death)

    def _finish(
        self, number: int, values: Mapping[str, Any], folder: RunFolder, outcome: Outcome
    ) -> None:
        if outcome.state == "paused":
            self._waiting.append((number, dict(values)))
            return
        if folder.read_outcome() is None:
            folder.write_outcome(outcome)
        score = outcome.metrics.get(self.search.metric)
        state, cause = _verdict(outcome, score)
        attributes: dict[str, Any] = {}
        if cause or outcome.reason:
            attributes = {"cause": cause, "reason": outcome.reason}
        attributes |= memory_attributes(folder)
        self.study.tell(number, state, score, attributes)
        trial = Trial(
            number,
            state,
            values,
            score if state == "done" else None,
            dict(self.study.curves[number]),
            cause,
            outcome.reason,
            outcome.seconds,
        )
        self._ended[number] = trial
        if state == "done":
            self._done.add(number)
        self._spent.append(outcome.seconds)
        self._keep_best(trial, folder)
        self.watch.ended(trial, self.standing())

    def _keep_best(self, trial: Trial, folder: RunFolder) -> None:
        """The weights of the best trial stay; a loser's go when it ends."""
        loser: RunFolder | None = folder
        if trial.state == "done" and trial.score is not None:
            sign = 1.0 if self.search.direction == "max" else -1.0
            best = self._best
            if best is None or best.score is None or sign * trial.score > sign * best.score:
                loser = self.search.folder.trial(best.number) if best is not None else None
                self._best = trial
        if loser is not None:
            shutil.rmtree(loser.checkpoints, ignore_errors=True)

    def _drop_losers(self) -> None:
        """What a kill between a trial's end and the removal of its weights left behind."""
        for number in self._ended:
            if self._best is None or number != self._best.number:
                shutil.rmtree(self.search.folder.trial(number).checkpoints, ignore_errors=True)

    def _pause(self, executor: Executor) -> None:
        """Ask all runs to save themselves; those that do not within the grace are killed."""
        for live in self._live.values():
            if live.folder.read_request(live.attempt) is None:  # to prune outweighs to pause
                live.folder.write_request(Request("pause", live.attempt))
        deadline = time.monotonic() + self.search.executor.grace_seconds
        while self._live and time.monotonic() < deadline:
            executor.wait(WAIT_SECONDS)
            self.hear()

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


def _verdict(outcome: Outcome, score: float | None) -> tuple[TrialState, Cause]:
    """What the study is told: a failure that lies in the configuration is infeasible."""
    if outcome.state == "done" and score is not None:
        return "done", ""
    if outcome.state == "pruned":
        return "pruned", ""
    if outcome.cause in INFEASIBLE:
        return "infeasible", outcome.cause
    return "failed", outcome.cause or "error"
