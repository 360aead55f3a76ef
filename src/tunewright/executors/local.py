"""Warm worker processes on this machine: torch is imported once, trials start in milliseconds.

A forkserver that has torch preloaded forks a worker in about 15 ms; the worker then lives
across trials. The server never touches CUDA, and neither does the coordinator.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from tunewright.executors.executor import Handle, Need
from tunewright.runs.folder import RunFolder

PRELOAD = ["tunewright.job", "tunewright.train.trainer"]


class LocalHandle:
    """An attempt on a worker."""

    def __init__(self, folder: RunFolder, worker: "_Worker") -> None:
        self.folder, self._worker = folder, worker
        self.ended = False
        self.death = ""

    def kill(self) -> None:
        """End the worker and everything it started."""
        self._worker.kill()

    def status(self) -> str:
        """Where it runs."""
        return f"worker {self._worker.index} (pid {self._worker.process.pid})"


class LocalExecutor:
    """`slots` worker processes; a worker that dies is replaced, with `fresh` after every run."""

    def __init__(self, slots: int, *, threads: int, gpus: Sequence[str] = (), fresh: bool = False):
        self.slots = slots
        self._threads, self._gpus, self._fresh = threads, list(gpus), fresh
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, LocalHandle] = {}

    def start(self, folders: Sequence[RunFolder], need: Need) -> list[Handle]:
        """Give each folder to an idle worker, or to a new one."""
        return [self._start(folder, need) for folder in folders]

    def wait(self, seconds: float) -> None:
        """Sleep until a worker reports, finishes or dies, or until `seconds` have passed."""
        if not self._busy:
            return
        for connection in wait([worker.pipe for worker in self._busy], timeout=seconds):
            worker = next(w for w in self._busy if w.pipe is connection)
            self._hear(worker)

    def close(self) -> None:
        """End all workers: idle ones by closing their pipe, busy ones by force."""
        for worker in self._idle:
            worker.pipe.close()
        for worker in self._busy:
            worker.kill()
        for worker in [*self._idle, *self._busy]:
            worker.process.join(timeout=5)
            if worker.process.is_alive():
                worker.kill()
        for worker, handle in self._busy.items():
            handle.ended, handle.death = True, worker.death()
        self._idle, self._busy = [], {}

    def _start(self, folder: RunFolder, need: Need) -> LocalHandle:
        while True:
            worker = self._idle.pop() if self._idle else self._new_worker()
            try:
                worker.pipe.send((str(folder.path), need.threads or self._threads))
            except (BrokenPipeError, ConnectionResetError):
                worker.process.join()  # died while idle: take another
                continue
            handle = LocalHandle(folder, worker)
            self._busy[worker] = handle
            return handle

    def _new_worker(self) -> "_Worker":
        taken = {worker.index for worker in [*self._idle, *self._busy]}
        index = next(i for i in range(len(taken) + 1) if i not in taken)
        gpu = self._gpus[index % len(self._gpus)] if self._gpus else None
        return _Worker(self._context, index, gpu)

    def _hear(self, worker: "_Worker") -> None:
        handle = self._busy[worker]
        try:
            finished = any(worker.messages())
        except (EOFError, ConnectionResetError):
            worker.process.join()
            handle.ended, handle.death = True, worker.death()
            del self._busy[worker]
            return
        if finished:
            handle.ended = True
            del self._busy[worker]
            if self._fresh:
                worker.pipe.close()
            else:
                self._idle.append(worker)


class _Worker:
    """A process and the pipe to it; the worker ends when the pipe closes."""

    def __init__(self, context: ForkServerContext, index: int, gpu: str | None) -> None:
        self.index = index
        self.pipe, far = context.Pipe()
        self.process: ForkServerProcess = context.Process(
            target=work, args=(far, gpu), name=f"tunewright-worker-{index}"
        )
        # Not a daemon: daemons may not have children, and data loaders are children.
        self.process.start()
        far.close()

    def messages(self) -> list[bool]:
        """What the worker said since last asked; True stands for a finished run."""
        said = [self.pipe.recv()]
        while self.pipe.poll():
            said.append(self.pipe.recv())
        return said

    def kill(self) -> None:
        """SIGKILL to the worker's whole process group."""
        if self.process.pid is not None and self.process.is_alive():
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self.process.kill()

    def death(self) -> str:
        """How the process ended, in words."""
        code = self.process.exitcode
        if code is None:
            return "still running"
        return f"killed by signal {-code}" if code < 0 else f"worker exited with code {code}"


def work(pipe: Connection, gpu: str | None) -> None:
    """The life of a worker: folders in, `True` out after each, until the pipe closes."""
    os.setpgid(0, 0)  # Ctrl-C in the terminal is the coordinator's business alone
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    from tunewright import job

    lock = threading.Lock()
    inbox: list[tuple[str, int]] = []
    arrived = threading.Semaphore(0)

    def listen() -> None:
        """Runs beside the training, so that a dead coordinator is noticed at once."""
        while True:
            try:
                inbox.append(pipe.recv())
            except (EOFError, OSError):
                os.killpg(0, signal.SIGKILL)
            arrived.release()

    def say(finished: bool) -> None:
        with lock:
            pipe.send(finished)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        arrived.acquire()
        path, threads = inbox.pop(0)
        job.run(RunFolder(Path(path)), threads=threads, heard=lambda: say(False))
        say(True)
