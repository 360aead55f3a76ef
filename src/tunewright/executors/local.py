"""Warm worker processes on this machine: torch is imported once, trials start in milliseconds."""

import gc
import os
import pickle
import signal
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tunewright.errors import NotWritten
from tunewright.executors.executor import Handle, Resources, WorkerDeath
from tunewright.executors.forkserver import end_group, follow, start_process
from tunewright.executors.host_memory import HostMemory, Occupant, RunPlace
from tunewright.executors.thread_waits import ThreadWaits
from tunewright.recipes.recipe import Run
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome
from tunewright.training.memory.freed import keep_freed_memory
from tunewright.training.memory.peak import held_memory

EXIT_SECONDS = 5.0
"""How long a dismissed worker may take to exit before it is killed."""

GROWTH, GROWTH_MIB = 1.5, 512.0
"""A worker is replaced when its idle memory exceeds GROWTH times that after its first run, plus
GROWTH_MIB: 2,000 MiB after the first run allow 3,512 MiB later."""


class LocalHandle:
    """An attempt that runs in a worker."""

    def __init__(self, folder: RunFolder, resources: Resources, worker: "_Worker") -> None:
        self.folder, self.resources, self._worker = folder, resources, worker
        self.ended = self.killed = False
        self.death: WorkerDeath | None = None

    def kill(self) -> None:
        """Kill the worker and every process it started."""
        if not self.ended:
            self.killed = True
            self._worker.kill()

    def status(self) -> str:
        """Return the worker's number and process id."""
        return f"worker {self._worker.index} (pid {self._worker.process.pid})"

    def occupant(self) -> Occupant:
        """Return the run with where it is, and the memory it holds now."""
        return Occupant(self.folder, self.resources, self._worker.place())


class LocalExecutor:
    """Runs attempts in `slots` worker processes; a worker that dies or grows is replaced.

    fresh: replace a worker after every run. run_override: see `job.run`; it is pickled, functions
    by their name. memory_gib: the memory limit of a worker; a run that is alone may use `slots`
    times as much. processes: how many train each run together, on a GPU each: a worker and those
    that it starts. shares_by_memory: a run joins others on a GPU only if its GPU memory is known.
    """

    def __init__(
        self,
        slots: int,
        *,
        threads: int,
        gpus: Sequence[str] = (),
        fresh: bool = False,
        run_override: Run | None = None,
        memory_gib: float | None = None,
        processes: int = 1,
        shares_by_memory: bool = False,
    ):
        self.slots, self._memory_gib, self._memory = slots, memory_gib, HostMemory(memory_gib)
        self._threads, self._gpus, self._fresh = threads, list(gpus), fresh
        self._processes, self._shares_by_memory = processes, shares_by_memory
        self._run_override = (
            None if run_override is None else _PickledRun(pickle.dumps(run_override))
        )
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, LocalHandle] = {}
        self._leaving: list[_Worker] = []

    def refusal(self, resources: Resources) -> str | None:
        """Return why a run cannot start beside the others: slots, memory, or one must be alone."""
        if not self._busy:
            return None
        if len(self._busy) >= self.slots:
            return f"all {self.slots} slots are taken"
        if resources.alone:
            return "it runs alone, after those that are running"
        if any(handle.resources.alone for handle in self._busy.values()):
            return "a run that must be alone is running"
        running = [handle.occupant() for handle in self._busy.values()]
        place = self.next_place()
        if self._shares_by_memory and any(run.place.gpu == place.gpu for run in running):
            if not resources.device_mib:
                return "the GPU memory of a trial is not known yet, so it shares no GPU"
            if place.gpu is not None and self._memory.free_on(place.gpu) is None:
                return "the driver does not say how much memory of the GPU is free"
        return self._memory.shortage(resources, place, running)

    def start(self, folders: Sequence[RunFolder], resources: Resources) -> list[Handle]:
        """Send each folder to an idle worker, or to a new one; a worker has one GPU, if any."""
        return [self._start(folder, resources) for folder in folders]

    def adopt(self, folder: RunFolder, resources: Resources) -> Handle | None:
        """Return None: workers end with the coordinator that started them."""
        return None

    def wait(self, seconds: float) -> None:
        """Wait until a worker reports, finishes or dies, at most `seconds`."""
        if not self._busy:
            return
        sources: dict[Connection | int, _Worker] = {}
        for worker in self._busy:
            sources[worker.pipe] = worker
            # Children of a dead worker may still hold its pipe open, so wait for its sentinel too.
            sources[worker.process.sentinel] = worker
        ready = wait(list(sources), timeout=seconds)
        for worker in dict.fromkeys(sources[source] for source in ready):  # type: ignore[index]
            self._hear(worker)

    def warm_up(self) -> None:
        """Start a worker before there is a run for it; raise RunError when that is impossible."""
        self._idle.append(self._new_worker())

    def close(self) -> None:
        """End all workers: idle ones by closing their pipe, busy ones by force."""
        for worker in self._idle:
            worker.pipe.close()
        for worker in self._busy:
            worker.kill()
        for worker in [*self._idle, *self._leaving, *self._busy]:
            worker.reap()
        for worker, handle in self._busy.items():
            handle.ended, handle.death = True, worker.death()
        self._idle, self._busy, self._leaving = [], {}, []

    def _start(self, folder: RunFolder, resources: Resources) -> LocalHandle:
        threads = resources.cpus or self._threads
        while True:
            worker = self._next_idle()
            if worker is None:
                worker = self._new_worker()
            else:
                self._idle.remove(worker)
            try:
                worker.pipe.send((str(folder.path), threads, self.memory_limit(resources)))
            except OSError:
                self._dismiss(worker)  # it died while idle: try another
                continue
            handle = LocalHandle(folder, resources, worker)
            self._busy[worker] = handle
            return handle

    def next_place(self) -> RunPlace:
        """Return the place of the idle worker that gets the next run, or of a new worker."""
        if (worker := self._next_idle()) is not None:
            return worker.place()
        gpus = self._gpus_of(self._free_index())
        return RunPlace(gpu=gpus[0] if gpus else None)

    def _next_idle(self) -> "_Worker | None":
        """Return the idle worker that gets the next run; None where a new one finds a freer GPU."""
        if not self._idle or not self._gpus:
            return self._idle[-1] if self._idle else None
        runs = Counter(worker.gpu for worker in self._busy)
        best = min(reversed(self._idle), key=lambda worker: runs[worker.gpu])
        first = self._gpus_of(self._free_index())[0]
        there = len(self._idle) + len(self._busy)
        return None if there < self.slots and runs[first] < runs[best.gpu] else best

    def _new_worker(self) -> "_Worker":
        index = self._free_index()
        return _Worker(index, self._gpus_of(index), self._processes, self._run_override)

    def _free_index(self) -> int:
        taken = {worker.index for worker in [*self._idle, *self._busy]}
        return next(i for i in range(len(taken) + 1) if i not in taken)

    def _gpus_of(self, index: int) -> list[str]:
        """Return the GPUs of a worker, one for each of its processes; empty for the CPU."""
        first, there = index * self._processes, len(self._gpus)
        return [self._gpus[(first + at) % there] for at in range(self._processes * bool(there))]

    def memory_limit(self, resources: Resources) -> float | None:
        """Return how much memory a run may hold, in GiB; None for no limit."""
        if self._memory_gib is None:
            return None
        return self._memory_gib * (self.slots if resources.alone else 1)

    def _hear(self, worker: "_Worker") -> None:
        finished, alive = worker.hear()
        if alive and not finished:
            return
        handle = self._busy.pop(worker)
        if not alive:
            worker.reap()
            worker.kill()  # the processes it started must not outlive it
            handle.death = None if finished else self._death(worker, handle)
        elif self._fresh or worker.has_grown():
            self._dismiss(worker)
        else:
            self._idle.append(worker)
        handle.ended = True

    def _death(self, worker: "_Worker", handle: LocalHandle) -> WorkerDeath:
        """Return how a worker died; the kernel kills for lack of memory with the signal of kill."""
        death = worker.death()
        if death.signal == signal.SIGKILL and not handle.killed and self._memory.was_short():
            return replace(death, out_of_memory=True)
        return death

    def _dismiss(self, worker: "_Worker") -> None:
        worker.pipe.close()
        self._leaving = [w for w in self._leaving if w.process.is_alive()] + [worker]


@dataclass(frozen=True)
class _PickledRun:
    """A `Run` that is unpickled when called, so an import error fails the run only."""

    data: bytes

    def __call__(self, *arguments: Any) -> Outcome:
        outcome: Outcome = pickle.loads(self.data)(*arguments)
        return outcome

    @property
    def in_script(self) -> bool:
        return b"__main__" in self.data


class _Worker:
    """A process and the pipe to it; the worker ends when the pipe closes."""

    def __init__(
        self, index: int, gpus: Sequence[str], processes: int, run_override: _PickledRun | None
    ) -> None:
        self.index, self.gpu = index, gpus[0] if gpus else None
        self._idle_mib: float | None = None
        self.process, self.pipe = start_process(
            work,
            list(gpus),
            processes,
            run_override,
            name=f"tunewright-worker-{index}",
            script=run_override is not None and run_override.in_script,
        )

    def hear(self) -> tuple[bool, bool]:
        """Return whether its run has finished since the last call, and whether it is alive."""
        alive = self.process.is_alive()  # asked first, so that its last messages are read below
        finished = False
        try:
            while self.pipe.poll():
                finished = self.pipe.recv() or finished
        except (EOFError, OSError):
            alive = False
        return finished, alive

    def place(self) -> RunPlace:
        """Return its GPU, and the memory it holds now."""
        now = held_memory(self.process.pid)
        return RunPlace(now.private_mib if now else 0.0, self.gpu)

    def has_grown(self) -> bool:
        """Return whether its idle memory is far above that after its first run."""
        now = self.place().held_mib
        if self._idle_mib is None:
            self._idle_mib = now
        return now > GROWTH * self._idle_mib + GROWTH_MIB

    def kill(self) -> None:
        """Send SIGKILL to the worker's whole process group."""
        assert self.process.pid is not None
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # gone, or not yet a group of its own
            self.process.kill()

    def reap(self) -> None:
        """Wait for the worker to exit; kill it after EXIT_SECONDS."""
        self.process.join(timeout=EXIT_SECONDS)
        if self.process.is_alive():
            self.kill()
            self.process.join()
        self.pipe.close()

    def death(self) -> WorkerDeath:
        """Return how the process ended."""
        code = self.process.exitcode
        assert code is not None, "it has been reaped"
        return WorkerDeath(signal=-code) if code < 0 else WorkerDeath(exit_code=code)


def work(pipe: Connection, gpus: Sequence[str], processes: int, run_override: Run | None) -> None:
    """Run a worker's loop: train each received folder, then send `True`, until the pipe closes.

    `False` is sent at each report of a run. gpus: of the run's processes, this one's first.
    """
    inbox: SimpleQueue[tuple[str, int, float | None]] = SimpleQueue()
    follow(pipe, inbox.put)
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[0]
    from tunewright import job
    from tunewright.training.ranks.team import RankTeam

    keep_freed_memory(os.environ)
    waits = ThreadWaits(os.environ)
    gc.freeze()  # the server's imports never become garbage: saves 0.2 s after every run
    lock = threading.Lock()
    team = RankTeam(job.serve_rank, gpus)

    def send(finished: bool) -> None:
        try:
            with lock:
                pipe.send(finished)
        except OSError:
            end_group()  # the coordinator is gone: end without recording a failure of the run

    while True:
        path, threads, memory_gib = inbox.get()
        folder = RunFolder(Path(path))
        try:
            with waits.watch(threads):
                job.run(
                    folder,
                    threads=threads,
                    on_report=lambda: send(False),
                    run_override=run_override,
                    memory_gib=memory_gib,
                    processes=processes,
                    team=team,
                    on_killed_rank=end_group,  # so it is judged as the worker's own death
                )
        except (NotWritten, OSError):  # of the outcome or the log; others are in the outcome
            sys.exit(os.EX_IOERR)
        waits.note(folder.log)
        job.release_memory()
        send(True)
