"""Run trials in this process, one after another: for debuggers and fast tests."""

import os
from collections import deque
from collections.abc import Callable, Sequence

from tunewright.executors.executor import Handle, Resources, WorkerDeath
from tunewright.executors.thread_waits import ThreadWaits
from tunewright.recipes.recipe import Run
from tunewright.runs.folder import RunFolder


class InlineHandle:
    """An attempt that runs inside `InlineExecutor.wait`."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.ended = False
        self.killed = False
        self.death: WorkerDeath | None = None

    def kill(self) -> None:
        """End the attempt at its next report, or before it starts."""
        self.killed = True

    def status(self) -> str:
        """Return where the attempt runs."""
        return "this process"


class _Ending(BaseException):
    """Ends a run from outside; a BaseException, so the run does not record a failure."""


class InlineExecutor:
    """One slot, in this process.

    on_report: called at each report, so that pruning works without a second process, and before
    each look for a request, so that a signal stops a run within an epoch. threads: CPU threads for
    torch; None leaves the number unchanged. run_override: see `job.run`.
    """

    slots = 1

    def __init__(
        self,
        on_report: Callable[[], None],
        *,
        threads: int | None = None,
        run_override: Run | None = None,
    ) -> None:
        self._on_report, self._threads, self._run_override = on_report, threads, run_override
        self._queue: deque[InlineHandle] = deque()

    def refusal(self, resources: Resources) -> str | None:
        """Return None while nothing is queued; this process measures no memory of its own."""
        return "this process trains one run at a time" if self._queue else None

    def start(self, folders: Sequence[RunFolder], resources: Resources) -> list[Handle]:
        """Queue the folders; `wait` runs them, with what this process has."""
        handles = [InlineHandle(folder) for folder in folders]
        self._queue.extend(handles)
        return list(handles)

    def adopt(self, folder: RunFolder, resources: Resources) -> Handle | None:
        """Return None: this process has only what it started itself."""
        return None

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
        """Drop the attempts that have not started."""
        self._queue.clear()

    def _run(self, handle: InlineHandle) -> None:
        from tunewright import job  # imports torch, which the coordinator otherwise never does

        def report_or_end() -> None:
            try:
                self._on_report()
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
                        on_report=report_or_end,
                        on_poll=report_or_end,
                        redirect=False,
                        run_override=self._run_override,
                    )
            except _Ending as ending:
                if ending.__cause__ is not None:
                    raise ending.__cause__ from None
        if handle.killed:
            handle.death = WorkerDeath()
