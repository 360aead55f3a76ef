"""Runs in this very process, one after another: for debuggers and fast tests."""

import os
from collections import deque
from collections.abc import Callable, Sequence

from tunewright.executors.executor import Handle, Need, RunPlace
from tunewright.executors.thread_waits import ThreadWaits
from tunewright.recipes.recipe import Run
from tunewright.runs.folder import RunFolder


class InlineHandle:
    """An attempt that runs when the executor is waited for."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.ended = False
        self.killed = False
        self.death = ""

    def kill(self) -> None:
        """End it at its next report; before it started, at once."""
        self.killed = True

    def status(self) -> str:
        """Where it runs."""
        return "this process"

    def place(self) -> RunPlace:
        """Where it runs; without neighbours there is nothing to measure."""
        return RunPlace()


class _Ending(BaseException):
    """Passes through a run that it ends, which would take any Exception for its own failure."""


class InlineExecutor:
    """One slot, in this process.

    heard: called at each report, so that pruning works without a second process. threads: CPU
    threads for torch; None leaves them as they are. bound: see `job.run`.
    """

    slots = 1

    def __init__(
        self, heard: Callable[[], None], *, threads: int | None = None, bound: Run | None = None
    ) -> None:
        self._heard, self._threads, self._bound = heard, threads, bound
        self._queue: deque[InlineHandle] = deque()

    def start(self, folders: Sequence[RunFolder], need: Need) -> list[Handle]:
        """Queue the folders; they run inside `wait`."""
        handles = [InlineHandle(folder) for folder in folders]
        self._queue.extend(handles)
        return list(handles)

    def next_place(self) -> RunPlace:
        """Where the next start would run."""
        return RunPlace()

    def wait(self, seconds: float) -> None:
        """Run the next queued folder to its end."""
        if not self._queue:
            return
        handle = self._queue.popleft()
        try:
            self._run(handle)
        finally:
            handle.ended = True

    def close(self) -> None:
        """Forget what has not started."""
        self._queue.clear()

    def _run(self, handle: InlineHandle) -> None:
        from tunewright import job  # imports torch, which the coordinator otherwise never does

        def on_report() -> None:
            try:
                self._heard()
            except Exception as error:
                raise _Ending from error
            if handle.killed:
                raise _Ending

        if not handle.killed:
            try:
                with ThreadWaits(os.environ).watch(self._threads):
                    job.run(
                        handle.folder,
                        threads=self._threads,
                        heard=on_report,
                        redirect=False,
                        bound=self._bound,
                    )
            except _Ending as ending:
                if ending.__cause__ is not None:
                    raise ending.__cause__ from None
        if handle.killed:
            handle.death = "killed"
