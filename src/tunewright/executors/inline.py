"""Runs in this very process, one after another: for debuggers and fast tests."""

from collections import deque
from collections.abc import Callable, Sequence

from tunewright.executors.executor import Handle, Need
from tunewright.runs.folder import RunFolder


class InlineHandle:
    """An attempt that runs when the executor is waited for."""

    def __init__(self, folder: RunFolder, need: Need) -> None:
        self.folder, self.need = folder, need
        self.ended = False
        self.death = ""

    def kill(self) -> None:
        """Take it out of the queue; a run in progress cannot be killed from its own process."""
        self.ended, self.death = True, "cancelled before it started"

    def status(self) -> str:
        """Where it runs."""
        return "this process"


class InlineExecutor:
    """One slot. heard: called at each report, so that pruning works without a second process."""

    slots = 1

    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard
        self._queue: deque[InlineHandle] = deque()

    def start(self, folders: Sequence[RunFolder], need: Need) -> list[Handle]:
        """Queue the folders; they run inside `wait`."""
        handles = [InlineHandle(folder, need) for folder in folders]
        self._queue.extend(handles)
        return list(handles)

    def wait(self, seconds: float) -> None:
        """Run the next queued folder to its end."""
        if not self._queue:
            return
        handle = self._queue.popleft()
        if handle.ended:
            return
        from tunewright import job  # imports torch, which the coordinator otherwise never does

        try:
            job.run(handle.folder, threads=handle.need.threads, heard=self._heard, redirect=False)
        finally:
            handle.ended = True

    def close(self) -> None:
        """Forget what has not started."""
        self._queue.clear()
