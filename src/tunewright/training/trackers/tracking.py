"""Run the trackers of a training in threads, so that they can neither stop nor delay it."""

import contextlib
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from queue import SimpleQueue
from threading import Thread

from tunewright.config.schema import TrackersConfig
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import Outcome, Progress
from tunewright.training.trackers import mlflow, tensorboard, wandb  # noqa: F401 (they register)
from tunewright.training.trackers.tracker import TRACKERS, RunInfo, Tracker, run_info

FINISH_SECONDS = 30.0
"""How long a run waits at its end for all trackers together."""
OFF = "trackers_off.txt"
"""File in a run folder with the trackers that failed in its last attempt, one a line."""


def make_trackers(trackers: TrackersConfig) -> dict[str, Tracker]:
    """Make the trackers of a configuration, by name."""
    return {name: TRACKERS[name](**getattr(trackers, name).model_dump()) for name in trackers.names}


class Tracking:
    """Sends the reports of one attempt to its trackers, each in its own thread.

    No method raises. A tracker that raises is switched off for the rest of the attempt, with the
    reason in the run's log; a slow one gets several reports at once; one that hangs delays the end
    of the run by `FINISH_SECONDS`, and nothing before. What a tracker missed is sent when the run
    is resumed or replayed.
    """

    def __init__(self, folder: RunFolder, trackers: Mapping[str, Tracker]) -> None:
        self._folder, self._trackers = folder, trackers
        self._lines: list[_Line] | None = None

    def begin(self) -> None:
        """Start the trackers with the history that this attempt continues."""
        self._lines = []
        (self._folder.path / OFF).unlink(missing_ok=True)
        if not self._trackers:
            return
        try:
            run, history = run_info(self._folder), read_progress(self._folder.progress)
            self._lines = [_Line(name, t, run, history) for name, t in self._trackers.items()]
        except Exception as error:
            _note(self._folder, f"trackers could not be started: {error}")

    def log(self, progress: Progress) -> None:
        """Queue a report; returns at once."""
        for line in self._lines or ():
            line.inbox.put(progress)

    def finish(self, outcome: Outcome, *, patience_seconds: float = FINISH_SECONDS) -> None:
        """Queue the outcome, also of a run that failed early, and wait for the trackers."""
        if self._lines is None:
            self.begin()
        lines, self._lines = self._lines or [], []
        for line in lines:
            line.inbox.put(outcome)
        deadline = time.monotonic() + patience_seconds
        for line in lines:
            line.thread.join(max(0.0, deadline - time.monotonic()))
            if line.thread.is_alive():
                _note(
                    self._folder,
                    f"tracker {line.name} did not keep up: {patience_seconds:g} s after the end it "
                    f"still has data to send. {_remedy(self._folder, line.name)}",
                )

    def close(self) -> None:
        """Abandon an attempt without an outcome; does not wait."""
        lines, self._lines = self._lines or [], []
        for line in lines:
            line.inbox.put(Outcome("paused", self._folder.attempt, reason="interrupted"))


class _Line:
    """A tracker, its thread, and the inbox between it and the training."""

    def __init__(
        self, name: str, tracker: Tracker, run: RunInfo, history: Sequence[Progress]
    ) -> None:
        self.name, self.inbox = name, SimpleQueue[Progress | Outcome]()
        self._tracker, self._run, self._history = tracker, run, history
        # A daemon: a tracker that hangs must not keep the process from ending.
        self.thread = Thread(target=self._work, name=f"tracker-{name}", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        try:
            self._tracker.start(self._run)
            waiting = list(self._history)
            while isinstance(item := self.inbox.get(), Progress):
                waiting.append(item)
                if self.inbox.empty():
                    self._tracker.log(waiting)
                    waiting = []
            if waiting:
                self._tracker.log(waiting)
            self._tracker.finish(item)
        except BaseException:  # a package may raise anything, SystemExit included
            _note(
                self._run.folder,
                f"tracker {self.name} is off for the rest of this run. "
                f"{_remedy(self._run.folder, self.name)}\n{traceback.format_exc()}",
            )
            with contextlib.suppress(OSError), (self._run.folder.path / OFF).open("a") as file:
                file.write(f"{self.name}\n")


def trackers_off(folders: Iterable[RunFolder]) -> Counter[str]:
    """Return in how many of the runs each tracker failed."""
    failed: Counter[str] = Counter()
    for folder in folders:
        with contextlib.suppress(OSError):
            failed.update(set((folder.path / OFF).read_text().split()))
    return failed


def forget_tracker_off(folder: RunFolder, name: str) -> None:
    """Forget that a tracker failed in a run that was copied to it since."""
    file = folder.path / OFF
    with contextlib.suppress(OSError):
        others = [line for line in file.read_text().split() if line != name]
        file.write_text("".join(f"{line}\n" for line in others))
        if not others:
            file.unlink()


def _remedy(folder: RunFolder, name: str) -> str:
    return f"Nothing is lost: tunewright replay {folder.path} --to {name}."


def _note(folder: RunFolder, text: str) -> None:
    """Write to the log by its path: standard output may belong to another run by now."""
    with contextlib.suppress(OSError), folder.log.open("a", encoding="utf-8") as log:
        log.write(f"{text.rstrip()}\n")
