"""`status.json`: where a study stands, written by its coordinator and read without its database."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunewright.errors import LeaseLost, NotWritten, TunewrightError
from tunewright.runs.atomic import write_json
from tunewright.runs.folder import StudyFolder
from tunewright.runs.lease.holder import this_process
from tunewright.runs.record import Trial
from tunewright.search.callbacks import StudyCallback, StudyProgress
from tunewright.search.signals import Interrupted

NAME = "status.json"
WRITE_SECONDS = 3.0
"""Shortest time between two writes while a study runs."""


class StandingFile(StudyCallback):
    """Passes all events on to `watch`, and keeps `status.json` of the study's folder fresh.

    A file that cannot be written, as on a full disk, costs nothing but the file.
    """

    def __init__(self, folder: StudyFolder, name: str, watch: StudyCallback) -> None:
        self._file, self._watch = folder.path / NAME, watch
        self._began, self._written = time.monotonic(), -WRITE_SECONDS
        self._first: int | None = None  # what had ended when this session began
        holder = this_process()
        self._values: dict[str, Any] = {
            "study": name,
            "state": "running",
            "host": holder.host.name,
            "pid": holder.pid,
        }

    def write(self, *, now: bool = False) -> None:
        """Write the file if that is due, or `now`."""
        if not now and time.monotonic() - self._written < WRITE_SECONDS:
            return
        self._written = time.monotonic()
        with contextlib.suppress(NotWritten, ValueError):
            write_json(self._file, self._values)

    def end(self, state: str, why: str = "") -> None:
        """Store how the session ended: `finished`, `stopped` or `failed`."""
        self._values |= {"state": state, "why": why}
        self.write(now=True)

    def note(self, progress: StudyProgress) -> None:
        """Take over where the study stands."""
        self._values |= {
            "stage": progress.stage,
            "left_seconds": progress.left_seconds,
            "at_most": progress.at_most,
            "running": progress.running,
        }
        if progress.unit != "trials":  # of replicates, whose counts are others
            return
        if self._first is None:
            self._first = progress.ended
        seconds, best = time.monotonic() - self._began, progress.best
        self._values |= {
            "total": progress.total,
            "ended": progress.ended,
            "pruned": progress.pruned,
            "failed": progress.failed,
            "metric": progress.metric,
            "best": None if best is None else {"trial": best.number, "score": best.score},
            "session": {"ended": progress.ended - self._first, "seconds": round(seconds, 3)},
        }

    def on_begin(self, folder: StudyFolder) -> None:
        """Pass it on, and note where the output goes."""
        self._watch.on_begin(folder)
        self._values["log"] = None if self._watch.log is None else str(self._watch.log)
        self._values["pid"] = this_process().pid
        self.write(now=True)

    def notice(self, text: str) -> None:
        """Pass it on."""
        self._watch.notice(text)

    def on_trial_start(self, number: int, values: Mapping[str, Any], where: str) -> None:
        """Pass it on."""
        self._watch.on_trial_start(number, values, where)

    def on_report(
        self,
        number: int,
        step: int,
        last_step: int,
        metrics: Mapping[str, float],
        progress: Callable[[], StudyProgress],
    ) -> None:
        """Pass it on; the estimate is made only when the file is due."""
        if time.monotonic() - self._written >= WRITE_SECONDS:
            self.note(progress())
            self.write()
        self._watch.on_report(number, step, last_step, metrics, progress)

    def on_usage(self, number: int | None, usage: Mapping[str, float]) -> None:
        """Pass it on."""
        self._watch.on_usage(number, usage)

    def on_trial_pause(self, trial: Trial, progress: StudyProgress) -> None:
        """Pass it on, with where the study stands now."""
        self.note(progress)
        self.write()
        self._watch.on_trial_pause(trial, progress)

    def on_trial_end(self, trial: Trial, progress: StudyProgress) -> None:
        """Pass it on, with where the study stands now."""
        self.note(progress)
        self.write()
        self._watch.on_trial_end(trial, progress)

    def on_progress(self, progress: StudyProgress) -> None:
        """Pass it on, with where the study stands now."""
        self.note(progress)
        self.write()
        self._watch.on_progress(progress)

    def on_training_start(self, patience: int | None) -> None:
        """Pass it on; what follows is the training in full."""
        self._values |= {"stage": "final", "left_seconds": None, "running": 1}
        self.write(now=True)
        self._watch.on_training_start(patience)

    def on_training_left(self, seconds: float, *, at_most: bool) -> None:
        """Pass on and note the time left."""
        self._values |= {"left_seconds": seconds, "at_most": at_most}
        self.write()
        self._watch.on_training_left(seconds, at_most=at_most)

    def on_epoch(
        self, epoch: int, epochs: int, metrics: Mapping[str, float], seconds: float
    ) -> None:
        """Pass it on."""
        self._watch.on_epoch(epoch, epochs, metrics, seconds)


@contextmanager
def standing_file(folder: StudyFolder, name: str, watch: StudyCallback) -> Iterator[StandingFile]:
    """Yield a watch that keeps `status.json` fresh, and store in the end how the session ended.

    One that lost its lease writes nothing: the file is another's.
    """
    standing = StandingFile(folder, name, watch)
    try:
        yield standing
    except LeaseLost:
        raise
    except (Interrupted, KeyboardInterrupt):
        standing.end("stopped")
        raise
    except TunewrightError as error:
        standing.end("failed", error.came)
        raise
    except Exception as error:
        standing.end("failed", f"{type(error).__name__}: {error}")
        raise


def standing_path(folder: Path) -> Path:
    """Return the file in the folder of a study."""
    return folder / NAME
