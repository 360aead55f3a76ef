"""What runs in a job: a worker that takes orders from its folder until its time is over.

The trainings are in a process of their own, a warm one of the local executor, so that this one
lives on when a training dies, beats while it works, and can say how it ended.
"""

import os
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

from tunewright.errors import NotWritten, TunewrightError
from tunewright.executors.batch.silence import Silence
from tunewright.executors.batch.submitit_door import requeue_signal, same_call
from tunewright.executors.batch.worker_begin import PATIENCE_SECONDS, await_plan, first_state
from tunewright.executors.batch.worker_folder import (
    Stage,
    WorkerFolder,
    WorkerPlan,
    WorkOrder,
)
from tunewright.executors.executor import Handle, Resources, WorkerDeath
from tunewright.executors.local import LocalExecutor
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.quantities import duration
from tunewright.runs.record import EndRequest, Outcome

BEAT_SECONDS = 2.0
"""How often a worker writes a sign of life."""
QUICK_SECONDS, QUICK, SLOW = 1.0, 0.004, 0.25
"""Seconds between two looks for an order: QUICK after an order, for QUICK_SECONDS, then longer."""
HEED_SECONDS = 0.1
"""How often a worker that trains looks for an order."""
RESERVE_SECONDS = 3.0
"""What is left of the notice for stopping a training that has not saved itself by then."""


def serve(path: str) -> None:
    """Work as the worker of the folder `path` until dismissed or the job's time is over.

    The function of the job: submitit calls it, in the job.
    """
    folder = WorkerFolder(Path(path))
    JobWorker(folder, await_plan(folder)).work()


def begin_again(path: str) -> object:
    """Return the call with which a requeued job begins: the same one."""
    return same_call(serve, path)


# Submitit looks for it, at the function, when a job is requeued.
vars(serve)["checkpoint"] = begin_again


class JobWorker:
    """One life of a worker, from the begin of its job to its end or requeue."""

    def __init__(self, folder: WorkerFolder, plan: WorkerPlan) -> None:
        self.folder, self.plan = folder, plan
        self._began = time.monotonic()
        self._state = first_state(folder, plan)
        self._lock = threading.Lock()
        self._signalled: int | None = None
        self._requeue: Any = signal.getsignal(requeue_signal())  # submitit's
        self._parent = os.getppid()
        self._handle: Handle | None = None
        self._run_began = self._began
        self._coordinator = Silence()
        self._touched = time.monotonic()
        self._looked = self._heeded = 0.0
        self._executor = LocalExecutor(
            1, threads=1, gpus=plan.gpus, fresh=plan.fresh, memory_gib=plan.memory_gib
        )

    def work(self) -> None:
        """Take orders until the end; then requeue the job, or let it end."""
        self._listen()
        over = threading.Event()
        beats = threading.Thread(target=self._beat, args=(over,), name="beats", daemon=True)
        self._say()
        beats.start()
        problem = ""
        try:
            self._take_orders()
        except Exception as error:
            problem = str(error) or type(error).__name__
            raise
        finally:
            over.set()
            beats.join()
            self._executor.close()
            if self._state.stage != "requeued":
                self._say(stage="left", problem=problem)
        if self._state.stage == "requeued":
            try:
                self._requeue(requeue_signal(), None)  # exits
            except Exception:
                self._say(stage="left")  # the coordinator submits another job
                raise

    @property
    def left_seconds(self) -> float:
        """What is left of the job's time."""
        return self.plan.walltime_seconds - (time.monotonic() - self._began)

    def _take_orders(self) -> None:
        """Work until the end."""
        wait = QUICK
        while True:
            if (number := self._signalled) is not None:
                self._say(stage=self._leave(number))
                return
            if os.getppid() != self._parent:  # whoever started the job's processes is gone
                return
            if self._handle is not None:
                self._executor.wait(HEED_SECONDS)
                self._heed_others(self._handle)
                if self._handle.ended and self._signalled is None:
                    self._end_run()
                    wait = QUICK
            else:
                time.sleep(wait)
                if time.monotonic() - self._touched > QUICK_SECONDS:
                    wait = min(1.3 * wait, SLOW)
            order = self._next_order()
            if order is not None:
                self._touched, wait = time.monotonic(), QUICK
                if not self._obey(order):
                    return
            if self._handle is None and self._is_forgotten():
                return

    def _next_order(self) -> WorkOrder | None:
        if self._handle is not None and time.monotonic() - self._looked < HEED_SECONDS:
            return None
        self._looked = time.monotonic()
        order = self.folder.read_order()
        return None if order is None or order.serial <= self._state.serial else order

    def _obey(self, order: WorkOrder) -> bool:
        """Do what an order says; return whether to go on."""
        if order.kind == "run":
            self._start(order)
            return True
        if self._handle is not None:
            self._handle.kill()
            while not self._handle.ended:
                self._executor.wait(HEED_SECONDS)
            self._end_run(order.serial)
        else:
            self._say(serial=order.serial)
        return order.kind != "dismiss"

    def _start(self, order: WorkOrder) -> None:
        """Start a run whose folder is seen as the coordinator wrote it."""
        folder, until = RunFolder(Path(order.folder)), time.monotonic() + PATIENCE_SECONDS
        news: dict[str, Any] = {
            "serial": order.serial,
            "folder": order.folder,
            "attempt": order.attempt,
        }
        while not _shows(folder, order.attempt):
            if self._signalled is not None:
                self._say(ended=order.serial, untaken=True, **news)
                return
            if time.monotonic() > until:
                self._say(ended=order.serial, untaken=True, **news)
                raise TunewrightError(
                    f"{socket.gethostname()} does not see {order.folder} as it was left",
                    remedy="Choose a folder on a file system that all nodes see with --runs-dir.",
                )
            time.sleep(HEED_SECONDS)
        [self._handle] = self._executor.start([folder], Resources(cpus=order.threads))
        self._run_began = time.monotonic()
        self._say(stage="running", death=None, outcome=False, untaken=False, **news)

    def _heed_others(self, handle: Handle) -> None:
        """Hear the coordinator, and end a run whose next attempt it has begun elsewhere."""
        if time.monotonic() - self._heeded > BEAT_SECONDS:
            self._heeded = time.monotonic()
            self._hear_coordinator()
            with suppress(TunewrightError):
                if handle.folder.attempt > self._state.attempt:
                    handle.kill()

    def _end_run(
        self,
        serial: int | None = None,
        stage: Stage = "idle",
        death: WorkerDeath | None = None,
    ) -> None:
        assert self._handle is not None
        handle, self._handle = self._handle, None
        serial = serial or self._state.serial
        outcome = handle.folder.read_outcome() is not None
        died = None if outcome else death or handle.death
        self._touched = time.monotonic()
        said = None if died is None else asdict(died)
        self._say(stage=stage, serial=serial, ended=serial, outcome=outcome, death=said)

    def _leave(self, number: int) -> Stage:
        """Save the run that is running; return whether the job is requeued or ends."""
        stage: Stage = "requeued" if self._requeues(number) else "left"
        if (handle := self._handle) is None:
            return stage
        notice = self.plan.notice_seconds
        until = time.monotonic() + max(notice - RESERVE_SECONDS, 0.5 * notice)
        folder, attempt = handle.folder, self._state.attempt
        made = folder.read_request(attempt)
        kill = self._is_dismissed()
        if not kill and (made is None or made.after):
            with suppress(NotWritten):
                folder.write_request(EndRequest("pause", attempt, "the time of its job is over"))
        while not handle.ended and not kill and time.monotonic() < until:
            self._executor.wait(HEED_SECONDS)
            order = self._next_order()
            kill = order is not None and order.kind != "run"
        in_time: bool = handle.ended
        death = None
        if not in_time:
            handle.kill()
            while not handle.ended:
                self._executor.wait(HEED_SECONDS)
            death = None if kill else self._pause_unsaved(handle)
        elif number == signal.SIGTERM and not kill:
            self._pause_ended(handle)
        self._end_run(stage=stage, death=death)
        return stage

    def _pause_unsaved(self, handle: Handle) -> WorkerDeath | None:
        """Write that a run goes on later from its last checkpoint, if it came forward at all.

        One that reports nothing within the time of a whole job would be started for ever: its death
        is returned.
        """
        attempt = self._state.attempt
        took = time.monotonic() - self._run_began
        whole = self.plan.walltime_seconds - 2 * self.plan.notice_seconds
        reports = read_progress(handle.folder.progress)
        if took < 0.8 * whole or any(report.attempt == attempt for report in reports):
            with suppress(NotWritten):
                handle.folder.write_outcome(Outcome("paused", attempt))
            return None
        limit = duration(self.plan.walltime_seconds)
        return WorkerDeath(reason=f"reported nothing within its job, whose walltime is {limit}")

    def _pause_ended(self, handle: Handle) -> None:
        """Write that a run goes on later which SIGTERM has ended.

        SLURM sends it to every process of a job, also to data loaders and scripts, and a training
        without them fails.
        """
        outcome = handle.folder.read_outcome()
        if outcome is None or outcome.state == "failed":
            with suppress(NotWritten):
                handle.folder.write_outcome(Outcome("paused", self._state.attempt))

    def _requeues(self, number: int) -> bool:
        """Return whether the job begins again: its time is over, and a coordinator lives.

        SIGTERM comes from whoever cancels a job, or takes its node and then requeues it himself.
        """
        if self._is_dismissed():
            return False
        self._hear_coordinator()
        return number == requeue_signal() and self._coordinator.seconds < self.plan.orphan_seconds

    def _is_dismissed(self) -> bool:
        order = self.folder.read_order()
        return order is not None and order.kind == "dismiss"

    def _is_forgotten(self) -> bool:
        self._hear_coordinator()
        idle = time.monotonic() - self._touched
        return idle > self.plan.idle_seconds or self._coordinator.seconds > self.plan.orphan_seconds

    def _hear_coordinator(self) -> None:
        self._coordinator.hear(self.folder.read_coordinator())

    def _listen(self) -> None:
        """Note signals, which the loop looks at; submitit's own handler is called at the end."""

        def note(number: int, _frame: FrameType | None) -> None:
            self._signalled = number

        ends = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, requeue_signal()}
        for number in ends:
            signal.signal(number, note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(BEAT_SECONDS):
            self._say()

    def _say(self, stage: Stage | None = None, **news: Any) -> None:
        """Write the state with `news`; a full disk makes a worker silent, and does not end it."""
        with self._lock:
            if stage is not None:
                news["stage"] = stage
            self._state = replace(
                self._state,
                beat=self._state.beat + 1,
                left_seconds=max(0.0, self.left_seconds),
                **news,
            )
            with suppress(NotWritten):
                self.folder.write_state(self._state)


def _shows(folder: RunFolder, attempt: int) -> bool:
    """Return whether a run folder is seen here as it was when its attempt began."""
    try:
        return folder.attempt == attempt and folder.config.exists()
    except TunewrightError:
        return False
