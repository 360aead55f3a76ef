"""The executor of workers in jobs: a trial costs an order in a file, and no time in the queue."""

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from tunewright.executors.batch.crew import Crew
from tunewright.executors.batch.known_worker import BatchHandle, KnownWorker
from tunewright.executors.batch.worker_folder import LOST, WorkOrder
from tunewright.executors.executor import Handle, Resources, WorkerDeath
from tunewright.runs.folder import RunFolder

SHORTEST_WAIT, LONGEST_WAIT = 0.004, 0.05
"""Seconds between two looks at the workers' files, which grow while nothing happens."""
REMEMBERED = 20
"""Trials whose length is remembered, to tell whether one fits into what is left of a job."""


class BatchExecutor:
    """Runs attempts in up to `slots` workers, each in a job that runs many, one after another.

    threads: CPU threads of a run.
    """

    def __init__(self, slots: int, crew: Crew, *, threads: int) -> None:
        self.slots, self._crew, self._threads = slots, crew, threads
        self._unplaced: deque[BatchHandle] = deque()
        self._took: deque[float] = deque(maxlen=REMEMBERED)
        self._closed = False

    def recruit(self) -> None:
        """Submit jobs for all slots, unless their workers are there or wait in the queue."""
        self._crew.recruit(self.slots)

    def refusal(self, resources: Resources) -> str | None:
        """Return why a run cannot start now: no worker is free, or none has begun."""
        self._look()
        live = self._live()
        if len(live) >= self.slots:
            return f"all {self.slots} slots are taken"
        if self._crew.jobs.share_host and live:
            if resources.alone:
                return "it runs alone, after those that are running"
            if any(handle.resources.alone for handle in live):
                return "a run that must be alone is running"
        self.recruit()
        return None if self._free_worker() is not None else self._crew.describe()

    def start(self, folders: Sequence[RunFolder], resources: Resources) -> list[Handle]:
        """Give each folder to a free worker, or to the next one that begins."""
        handles = [BatchHandle(folder, folder.attempt, resources) for folder in folders]
        self._unplaced += handles
        self._place_runs()
        return list(handles)

    def adopt(self, folder: RunFolder, resources: Resources) -> Handle | None:
        """Return a handle of the attempt of `folder` that a worker runs, or was given to run."""
        self._look()
        place, attempt = folder.path.resolve(), folder.attempt
        for worker in self._crew.workers:
            if not worker.has_begun or worker.handle is not None:
                continue
            given = _given(worker)
            if given is not None and given.attempt == attempt and Path(given.folder) == place:
                handle = BatchHandle(folder, attempt, resources)
                handle.worker, worker.handle, worker.given = worker, handle, given.serial
                return handle
        return None

    def wait(self, seconds: float) -> None:
        """Wait until a run reports or ends, or a worker begins, at most `seconds`."""
        if not self._live() and not any(worker.waits for worker in self._crew.workers):
            return
        until, pause, seen = time.monotonic() + seconds, SHORTEST_WAIT, self._report_sizes()
        while not self._look() and self._report_sizes() == seen:
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(pause, left))
            pause = min(1.3 * pause, LONGEST_WAIT)

    def leave(self) -> None:
        """Leave workers and runs to another coordinator, which has taken over; no job is cancelled.

        Workers that it does not take end by themselves when nobody gives a sign for long.
        """
        self._closed = True
        for handle in self._live():
            handle.end(WorkerDeath(reason="left to another coordinator"))
        self._unplaced.clear()

    def close(self) -> None:
        """Dismiss all workers and cancel their jobs, also those that wait in the queue."""
        if self._closed:
            return
        self._closed = True
        live = self._live()
        self._crew.dismiss_all()
        for handle in live:
            handle.end(WorkerDeath())
        self._unplaced.clear()

    def _live(self) -> list[BatchHandle]:
        placed = [worker.handle for worker in self._crew.workers if worker.handle is not None]
        return [*placed, *(handle for handle in self._unplaced if not handle.ended)]

    def _report_sizes(self) -> list[int]:
        sizes = []
        for handle in self._live():
            try:
                sizes.append(handle.folder.progress.stat().st_size)
            except OSError:
                sizes.append(0)
        return sizes

    def _look(self) -> bool:
        """Look after the workers and their runs; return whether there is news."""
        news = self._crew.look()
        for worker in list(self._crew.workers):
            if worker.handle is not None:
                news = self._settle(worker, worker.handle) or news
            if worker.ended_at is not None and worker.handle is None:
                self._crew.release(worker)
        self._place_runs()
        return news

    def _settle(self, worker: KnownWorker, handle: BatchHandle) -> bool:
        """End or take back the run of a worker that is done with it; return whether it ended."""
        said = worker.state
        assert said is not None, "it has begun"
        if said.ended >= worker.given:
            if said.untaken:
                return self._take_back(worker, handle)
            if said.outcome and not _has_outcome(handle) and not self._is_late(worker):
                return False  # a network file system shows it later
            self._crew.praise()
            if handle.began is not None:
                self._took.append(time.monotonic() - handle.began)
            return self._end(worker, handle, said.worker_death or WorkerDeath())
        if said.life == worker.lost_life:
            return self._end(worker, handle, WorkerDeath(reason=LOST))
        if worker.ended_at is None:
            return False
        if said.serial < worker.given:
            return self._take_back(worker, handle)
        if not self._is_late(worker):
            return False
        state = worker.job_state
        death = state.death if state is not None else WorkerDeath(reason="its job ended before it")
        return self._end(worker, handle, WorkerDeath() if handle.killed else death)

    def _is_late(self, worker: KnownWorker) -> bool:
        """Return whether what a worker has written would be seen by now."""
        since = worker.read_at if worker.ended_at is None else worker.ended_at
        return time.monotonic() - since > self._crew.jobs.late_seconds

    def _end(self, worker: KnownWorker, handle: BatchHandle, death: WorkerDeath) -> bool:
        """End a run; its death counts where it has left no outcome."""
        handle.end(None if _has_outcome(handle) else death)
        worker.handle = None
        return True

    def _take_back(self, worker: KnownWorker, handle: BatchHandle) -> bool:
        """Give the run of a worker that never began it to another one."""
        if handle.killed:
            return self._end(worker, handle, WorkerDeath())
        worker.handle = handle.worker = None
        self._unplaced.appendleft(handle)
        return False

    def _place_runs(self) -> None:
        self._unplaced = deque(handle for handle in self._unplaced if not handle.ended)
        if not self._unplaced or self._closed:
            return
        self._crew.recruit(len(self._live()))
        while self._unplaced and (worker := self._free_worker()) is not None:
            handle = self._unplaced.popleft()
            handle.worker, worker.handle, handle.began = worker, handle, time.monotonic()
            threads = handle.resources.cpus or self._threads
            worker.tell("run", str(handle.folder.path.resolve()), handle.attempt, threads)
            worker.given = worker.serial

    def _free_worker(self) -> KnownWorker | None:
        """Return a free worker with time for another run; dismiss those that have too little."""
        for worker in self._crew.workers:
            if worker.is_free:
                if worker.left_seconds >= self._needed_seconds():
                    return worker
                worker.tell("dismiss")
        return None

    def _needed_seconds(self) -> float:
        """Return the time that a worker must have left for another run.

        A run longer than a whole job starts anywhere in its first half, and is saved at its end.
        """
        plan = self._crew.plan
        whole = plan.walltime_seconds - plan.notice_seconds
        return plan.notice_seconds + min(max(self._took, default=0.0), 0.5 * whole)


def _given(worker: KnownWorker) -> WorkOrder | None:
    """Return the order that a worker works on or is about to take."""
    order, said = worker.folder.read_order(), worker.state
    if said is None or order is None or order.kind != "run" or said.ended >= order.serial:
        return None
    return order


def _has_outcome(handle: BatchHandle) -> bool:
    outcome = handle.folder.read_outcome()
    return outcome is not None and outcome.attempt == handle.attempt
