"""Contract tests for trackers, whichever tool they write to."""

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path

import pytest

from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import ProgressWriter, read_progress
from tunewright.runs.record import Outcome, Progress
from tunewright.training.trackers.tracker import RunInfo, Tracker, run_info

DONE = Outcome("done", 1, best_step=3, metrics={"val_score": 3.0}, seconds=4.0)


class TrackerContract(ABC):
    """Inherit this class and define how the tracker is made and how its copy is read back."""

    @abstractmethod
    def make(self) -> Tracker:
        """Return a new tracker; each attempt and each replay uses a new one."""

    @abstractmethod
    def points(self, run: RunInfo, metric: str) -> list[tuple[int, float]]:
        """Return the (step, value) pairs of a metric in the copy of `run`."""

    @abstractmethod
    def copies(self, run: RunInfo) -> int:
        """Return how many copies of this run there are."""

    @abstractmethod
    def settings(self, run: RunInfo) -> Mapping[str, str]:
        """Return the configuration in the copy: text by config path."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> RunFolder:
        """Make the folder of a trial of a study, started, with four epochs reported."""
        study = tmp_path / "runs" / "study"
        folder = RunFolder(study / "trials" / "00007")
        folder.write_config(
            {
                "recipe": "quadratic",
                "optim": {"lr": 0.1, "type": "adamw"},
                "seeds": [],
                "study": {"name": None},
                "trackers": {"mlflow": {"uri": "sqlite:///secret.db"}},
            }
        )
        (study / "study.yaml").write_text("name: study\n")
        _attempt(folder, 0, 4)
        return folder

    def test_a_whole_run_is_copied(self, folder: RunFolder) -> None:
        run = self._copy(folder, DONE)
        assert (run.study, run.name) == ("study", "00007")
        assert self.points(run, "val_score") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
        assert self.copies(run) == 1
        stored = self.settings(run)
        assert stored["optim.lr"] == "0.1"
        assert not [path for path in stored if path.startswith("trackers")]

    def test_a_copy_made_again_is_not_doubled(self, folder: RunFolder) -> None:
        self._copy(folder, DONE)
        run = self._copy(folder, DONE)
        assert self.points(run, "val_score") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
        assert self.copies(run) == 1

    def test_a_paused_run_goes_on_in_the_same_copy(self, folder: RunFolder) -> None:
        self._copy(folder, Outcome("paused", 1, best_step=4, metrics={"val_score": 4.0}))
        _attempt(folder, 4, 6)
        run = self._copy(folder, DONE)
        assert [step for step, _ in self.points(run, "val_score")] == [1, 2, 3, 4, 5, 6]
        assert self.copies(run) == 1

    def test_a_killed_run_that_repeats_epochs_has_each_once(self, folder: RunFolder) -> None:
        process = get_context("spawn").Process(target=_copy_and_die, args=(type(self), folder))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        _attempt(folder, 2, 5)
        run = self._copy(folder, DONE)
        assert [step for step, _ in self.points(run, "val_score")] == [1, 2, 3, 4, 5]
        assert self.copies(run) == 1

    def test_reports_may_come_one_by_one(self, folder: RunFolder) -> None:
        tracker, run = self.make(), run_info(folder)
        tracker.start(run)
        for report in read_progress(folder.progress):
            tracker.log([report])
        tracker.finish(DONE)
        assert len(self.points(run, "val_score")) == 4

    def test_a_run_that_failed_before_its_first_epoch(self, folder: RunFolder) -> None:
        folder.progress.unlink()
        run = self._copy(folder, Outcome("failed", 1, "error", "no such file"))
        assert self.points(run, "val_score") == []
        assert self.copies(run) == 1

    def test_two_runs_at_once_in_one_process(self, folder: RunFolder) -> None:
        other = RunFolder(folder.path.with_name("00008"))
        other.write_config(folder.read_config())
        _attempt(other, 0, 2)
        trackers = [(self.make(), run_info(place)) for place in (folder, other)]
        for tracker, run in trackers:
            tracker.start(run)
        for tracker, run in trackers:
            tracker.log(read_progress(run.folder.progress))
        for tracker, _ in trackers:
            tracker.finish(DONE)
        assert [len(self.points(run, "val_score")) for _, run in trackers] == [4, 2]

    def _copy(self, folder: RunFolder, outcome: Outcome) -> RunInfo:
        tracker, run = self.make(), run_info(folder)
        tracker.start(run)
        tracker.log(read_progress(folder.progress))
        tracker.finish(outcome)
        return run


def _copy_and_die(contract: type[TrackerContract], folder: RunFolder) -> None:
    tracker = contract().make()
    tracker.start(run_info(folder))
    tracker.log(read_progress(folder.progress))
    os.kill(os.getpid(), signal.SIGKILL)


def _attempt(folder: RunFolder, resumed_from: int, last: int) -> None:
    """Write another attempt, which reports the epochs after `resumed_from`."""
    writer = ProgressWriter(folder.progress, attempt := folder.begin_attempt(), resumed_from)
    for step in range(resumed_from + 1, last + 1):
        metrics = {"val_score": float(step), "train_loss": 1.0 / step}
        writer.write(Progress(attempt, step, metrics, float(step)))
    writer.close()
