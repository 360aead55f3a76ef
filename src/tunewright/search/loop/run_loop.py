"""The coordinator's loop: start runs, read their reports, retry them, and pause them on a stop.

A search and the training of one configuration go through the same loop. A subclass says which runs
there are, and what follows from their reports and ends.
"""

import contextlib
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from tunewright.config.schema import ExecutorConfig as ExecutorConfig
from tunewright.errors import NotWritten, StorageLost
from tunewright.executors.executor import Executor, Handle, Resources
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import ProgressTail
from tunewright.runs.record import EndRequest, Outcome, Progress
from tunewright.search.callbacks import StudyCallback
from tunewright.search.memory.memory_model import Memory
from tunewright.search.signals import StopFlag

WAIT_SECONDS = 0.2
"""Longest sleep of the coordinator between two polls; a report wakes it earlier."""

Ending = Literal["finished", "interrupted", "timed out"]


@dataclass(frozen=True)
class Run:
    """One run that the coordinator starts. name: in notices. values: what is searched of it."""

    folder: RunFolder
    name: str
    values: Mapping[str, Any]


RunT = TypeVar("RunT", bound=Run)


@dataclass
class Live(Generic[RunT]):
    """A run that an executor is working on.

    deadline: by the monotonic clock; the attempt is killed after it. cancelled: its end no longer
    matters.
    """

    run: RunT
    handle: Handle
    tail: ProgressTail
    attempt: int
    deadline: float | None
    cancelled: bool = False


class RunLoop(ABC, Generic[RunT]):
    """Keeps the slots of an executor busy until no run is left. `run` can be called once.

    limits: how often a run whose worker died is retried, and how long a pause may take.
    run_seconds: time limit of an attempt.

    waiting: runs that start before any that `next_run` returns, such as those to be resumed.
    stopping: whether the runs were asked to pause because the loop ends. guard: called before
    anything is written; raises LeaseLost when another coordinator has taken over.
    """

    executor: Executor

    def __init__(
        self, limits: ExecutorConfig, watch: StudyCallback, run_seconds: float | None = None
    ) -> None:
        self.limits, self.watch, self._run_seconds = limits, watch, run_seconds
        self.memory = Memory(limits, watch.notice)
        self.waiting: list[RunT] = []
        self.live: list[Live[RunT]] = []
        self.stopping = False
        self.guard: Callable[[], None] = lambda: None
        self._stop = StopFlag()
        self._seen: set[RunFolder] = set()
        self._deaths: Counter[RunFolder] = Counter()
        self._notified: set[str] = set()
        self._refused: set[RunFolder] = set()
        self._refusal = ""  # the last that was said: the next run need not repeat it

    @abstractmethod
    def next_run(self) -> RunT | None:
        """Return a run that was not begun yet, or None when there is none."""

    @abstractmethod
    def on_report(self, live: Live[RunT], progress: Progress) -> None:
        """Receive a report of a run."""

    @abstractmethod
    def on_end(self, run: RunT, outcome: Outcome) -> None:
        """Receive the end of a run that is neither paused nor retried."""

    @abstractmethod
    def on_stop(self, *, signalled: bool) -> None:
        """Tell the user that the live runs are asked to save themselves.

        signalled: by Ctrl-C or SIGTERM, else because `should_pause`.
        """

    def on_begin(self) -> None:
        """Do what comes before the first turn of the loop; nothing by default."""

    def on_attempt(self, run: RunT, attempt: int) -> None:
        """Write what an attempt finds in its folder when it begins; nothing by default."""

    def on_start(self, live: Live[RunT]) -> None:
        """Receive the start of a run; ignored by default."""

    def on_adopt(self, live: Live[RunT]) -> None:
        """Receive a run that another coordinator started, before `on_start`; ignored by default."""

    def on_read(self, live: Live[RunT]) -> None:
        """Do what is due when the reports of a run have been read; nothing by default."""

    def on_requeue(self, run: RunT, *, paused: bool) -> None:
        """Receive the end of an attempt after which the run waits again; ignored by default.

        paused: it was asked to, else it is retried.
        """

    def on_cancelled(self, run: RunT) -> None:
        """Receive the end of a run that was cancelled; ignored by default."""

    def parks(self, run: RunT) -> bool:
        """Return whether a paused run waits until `next_run` returns it again; never by default."""
        return False

    def prepare(self, run: RunT) -> None:
        """Write what the folder of a run needs before an attempt; nothing by default."""

    def should_pause(self) -> bool:
        """Return whether the loop ends now, with its runs paused; never by default."""
        return False

    def notify(self, run: RunT, text: str) -> None:
        """Pass a notice about a run to the user."""
        self.watch.notice(f"{run.name}: {text}")

    @property
    def grace_seconds(self) -> float:
        """How long runs may take to save themselves when the loop ends."""
        return self.limits.grace_seconds

    def run(self, executor: Executor, stop: StopFlag) -> Ending:
        """Work until no run is left, `should_pause`, or a stop is requested.

        When the storage or a folder can no longer be written, the runs are asked to save
        themselves before the error is raised.
        """
        self.executor, self.memory.slots, self._stop = executor, executor.slots, stop
        try:
            return self._run()
        except (StorageLost, NotWritten):
            with contextlib.suppress(NotWritten):
                self.ask_to_pause()
            self._wait_for_ends(self.limits.grace_seconds, lambda: None)
            raise

    def poll(self) -> None:
        """Read the reports of all runs, kill those that take too long, and finish those that ended.

        An executor that runs in this process calls it at each report, and as often as a run looks
        for a request.
        """
        self.guard()
        for live in list(self.live):
            self._read(live)
            if live.deadline is not None and time.monotonic() > live.deadline:
                live.handle.kill()
        for live in list(self.live):
            if live.handle.ended and live in self.live:
                self._read(live)
                self._on_worker_exit(live)
        # An inline run blocks the loop until its end.
        if self.live and (self._stop.signalled or self.should_pause()):
            self.ask_to_pause()

    def cancel(self, is_meant: Callable[[RunT], bool]) -> None:
        """Drop the waiting runs that are meant, and ask the live ones to end."""
        self.waiting = [run for run in self.waiting if not is_meant(run)]
        for live in self.live:
            if is_meant(live.run):
                live.cancelled = True
                live.run.folder.write_request(EndRequest("cancel", live.attempt))

    def ask_to_pause(self) -> None:
        """Ask all runs to save themselves and end; a request made before takes precedence."""
        for live in self.live:
            folder = live.run.folder
            made = folder.read_request(live.attempt)
            if made is None or made.after:
                folder.write_request(EndRequest("pause", live.attempt))

    def _run(self) -> Ending:
        self.guard()
        self.waiting = [run for run in self.waiting if not self._adopt(run)]
        if self.live:
            names = ", ".join(live.run.name for live in self.live)
            self.watch.notice(f"{names} still running: taken over, not started again")
        self.on_begin()
        while True:
            self.guard()
            if (signalled := self._stop.signalled) or self.should_pause():
                self._pause(signalled=signalled)
                return "interrupted" if signalled else "timed out"
            self._fill()
            if not self.live and not self.waiting:
                return "finished"
            self.executor.wait(WAIT_SECONDS)
            self.poll()

    def _fill(self) -> None:
        while len(self.live) < self.executor.slots:
            run = self.waiting.pop(0) if self.waiting else self.next_run()
            if run is None:
                return
            if not self._start(run):
                self.waiting.insert(0, run)
                return

    def _start(self, run: RunT) -> bool:
        """Start a run on the executor, unless it refuses it now."""
        if self._adopt(run):
            return True
        resources = self._resources(run)
        if (refusal := self.executor.refusal(resources)) is not None:
            if run.folder not in self._refused and refusal != self._refusal:
                self._refused.add(run.folder)
                self._refusal = refusal
                self.watch.notice(f"{run.name} waits: {refusal}")
            return False
        self.guard()
        self.prepare(run)
        attempt = run.folder.begin_attempt()
        self.on_attempt(run, attempt)
        [handle] = self.executor.start([run.folder], resources)
        self.on_start(self._follow(run, handle, attempt))
        return True

    def _adopt(self, run: RunT) -> bool:
        """Go on with an attempt of an earlier coordinator if its worker lives; return whether so.

        It keeps its number. The time limit of an attempt counts from now.
        """
        if run.folder in self._seen:
            return False
        self._seen.add(run.folder)
        attempt = run.folder.attempt
        if not attempt or run.folder.read_outcome() is not None:
            return False
        if (handle := self.executor.adopt(run.folder, self._resources(run))) is None:
            return False
        live = self._follow(run, handle, attempt)
        self.on_adopt(live)
        self.on_start(live)
        return True

    def _follow(self, run: RunT, handle: Handle, attempt: int) -> Live[RunT]:
        """Read the reports of an attempt from now on."""
        deadline = None if self._run_seconds is None else time.monotonic() + self._run_seconds
        tail = ProgressTail(run.folder.progress, attempt)
        live = Live(run, handle, tail, attempt, deadline)
        self.live.append(live)
        return live

    def _resources(self, run: RunT) -> Resources:
        return replace(
            self.memory.resources_for(run.folder, run.values),
            cpus=self.limits.threads,
            walltime_seconds=self._run_seconds,
        )

    def _read(self, live: Live[RunT]) -> None:
        for progress in live.tail.poll():
            self.on_report(live, progress)
        for text in live.tail.notices:
            if text not in self._notified:  # another run may have sent the same notice
                self._notified.add(text)
                self.notify(live.run, text)
        live.tail.notices.clear()
        self.on_read(live)

    def _on_worker_exit(self, live: Live[RunT]) -> None:
        self.guard()
        self.live.remove(live)
        run = live.run
        if live.cancelled:
            self.on_cancelled(run)
            return
        outcome = run.folder.read_outcome() or self._on_worker_crash(live)
        if outcome is not None:
            self.memory.learn(run.folder, run.values, outcome)
        paused = outcome is not None and outcome.state == "paused"
        if outcome is None or paused or self.memory.retry_after_oom(run.name, run.folder, outcome):
            if not (paused and self.parks(run)):
                self.waiting.append(run)
            self.on_requeue(run, paused=paused)
        else:
            self.on_end(run, outcome)

    def _on_worker_crash(self, live: Live[RunT]) -> Outcome | None:
        """Return the outcome of a run whose worker died, or None when the run is retried."""
        run, death = live.run, str(live.handle.death or "its worker wrote no outcome")
        if (outcome := pruned_before(run.folder)) is not None:
            return outcome
        if live.deadline is not None and time.monotonic() > live.deadline:
            reason = f"did not finish within {self._run_seconds:g} s"
            return Outcome("failed", live.attempt, "timed out", reason)
        if (outcome := self.memory.oom_outcome(live.handle)) is not None:
            return outcome
        self._deaths[run.folder] += 1
        if self._deaths[run.folder] <= self.limits.retries:
            self.notify(run, f"{death}; resuming from its last checkpoint")
            return None
        return Outcome("failed", live.attempt, "killed", death)

    def _pause(self, *, signalled: bool) -> None:
        """Ask all runs to save themselves and wait for the grace period; `close` kills the rest."""
        self.stopping = True
        if self.live:
            self.on_stop(signalled=signalled)
        self.ask_to_pause()
        self._wait_for_ends(self.grace_seconds, self.poll)

    def _wait_for_ends(self, seconds: float, poll: Callable[[], None]) -> None:
        deadline = time.monotonic() + seconds
        while not all(live.handle.ended for live in self.live) and time.monotonic() < deadline:
            self.executor.wait(WAIT_SECONDS)
            poll()


def pruned_before(folder: RunFolder) -> Outcome | None:
    """Return the outcome of a run that was asked to prune and whose worker died before it did.

    The decision stands: made again later, among more trials, it might come out differently.
    """
    attempt = folder.attempt
    request = folder.read_request(attempt)
    if request is None or request.kind != "prune":
        return None
    return Outcome("pruned", attempt, reason=request.reason)
