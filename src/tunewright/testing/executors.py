"""Contract tests for executors: what each must do, whatever it runs on."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from tunewright.config.tree import Tree
from tunewright.executors.executor import Executor, Handle, Resources, WorkerDeath
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import EndRequest

PATIENCE_SECONDS = 240.0
"""How long a run may take, and the begin of the first worker, on a busy machine."""


class ExecutorContract(ABC):
    """Inherit this class and define how the executor is made and which runs it is given.

    separate: whether runs have processes of their own, which can be killed.
    """

    separate: ClassVar[bool] = True

    @abstractmethod
    def make(self, on_report: Callable[[], None]) -> Executor:
        """Return a new executor with two slots, or with one if it never has more.

        on_report: called at each report by an executor that runs in this process.
        """

    @abstractmethod
    def quick(self) -> Tree:
        """Return the configuration of a run that reports at least twice and ends quickly."""

    @abstractmethod
    def slow(self) -> Tree:
        """Return the configuration of a run that reports often and takes more than a minute."""

    @abstractmethod
    def doomed(self) -> Tree:
        """Return the configuration of a run whose process kills itself after its first report."""

    @pytest.fixture
    def reports(self) -> list[float]:
        """Return the list of the reports' times, by `time.monotonic`."""
        return []

    @pytest.fixture
    def executor(self, reports: list[float]) -> Iterator[Executor]:
        """Yield the executor under test; close it afterwards."""
        made = self.make(lambda: reports.append(time.monotonic()))
        yield made
        made.close()

    def test_several_folders_are_started_and_end_with_outcomes(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        folders = [_folder(tmp_path / str(i), self.quick()) for i in range(executor.slots)]
        handles = executor.start(folders, Resources())
        assert [handle.folder for handle in handles] == folders
        _wait_for_end(executor, handles)
        for folder, handle in zip(folders, handles, strict=True):
            outcome = folder.read_outcome()
            assert outcome is not None
            assert (outcome.state, outcome.attempt) == ("done", 1)
            assert len(read_progress(folder.progress)) >= 2
            assert handle.death is None

    def test_a_slot_is_used_again(self, executor: Executor, tmp_path: Path) -> None:
        for name in ("first", "second", "third"):
            folder = _folder(tmp_path / name, self.quick())
            _wait_for_end(executor, executor.start([folder], Resources()))
            outcome = folder.read_outcome()
            assert outcome is not None
            assert outcome.state == "done"

    def test_a_second_attempt_in_a_folder_counts_as_such(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        folder = _folder(tmp_path / "run", self.quick())
        _wait_for_end(executor, executor.start([folder], Resources()))
        assert folder.begin_attempt() == 2
        assert folder.read_outcome() is None
        _wait_for_end(executor, executor.start([folder], Resources()))
        outcome = folder.read_outcome()
        assert outcome is not None
        assert (outcome.state, outcome.attempt) == ("done", 2)

    def test_nothing_is_adopted_from_a_folder_where_nothing_runs(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        folder = _folder(tmp_path / "run", self.quick())
        assert executor.adopt(folder, Resources()) is None
        _wait_for_end(executor, executor.start([folder], Resources()))
        assert executor.adopt(folder, Resources()) is None

    def test_wait_returns_at_once_when_nothing_runs(self, executor: Executor) -> None:
        before = time.monotonic()
        executor.wait(30.0)
        assert time.monotonic() - before < 5.0

    def test_a_report_wakes_the_waiting_one(
        self, executor: Executor, reports: list[float], tmp_path: Path
    ) -> None:
        folder = _folder(tmp_path / "run", self.quick())
        before = time.monotonic()
        handles = executor.start([folder], Resources())
        while not read_progress(folder.progress):
            executor.wait(1.5 * PATIENCE_SECONDS)
        assert time.monotonic() - before < PATIENCE_SECONDS
        _wait_for_end(executor, handles)
        if not self.separate:
            assert len(reports) >= 2

    def test_a_request_ends_a_run_with_an_outcome(self, executor: Executor, tmp_path: Path) -> None:
        if not self.separate:
            pytest.skip("nobody can ask while the only process runs")
        folder = _folder(tmp_path / "run", self.slow())
        handles = executor.start([folder], Resources())
        while not read_progress(folder.progress):
            executor.wait(0.2)
        folder.write_request(EndRequest("pause", folder.attempt))
        _wait_for_end(executor, handles)
        outcome = folder.read_outcome()
        assert outcome is not None
        assert outcome.state == "paused"

    def test_a_dead_worker_is_reported_with_its_signal_and_replaced(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        if not self.separate:
            pytest.skip("the run's process is this one")
        folder = _folder(tmp_path / "doomed", self.doomed())
        [handle] = executor.start([folder], Resources())
        _wait_for_end(executor, [handle])
        assert handle.death == WorkerDeath(signal=9)
        assert str(handle.death) == "killed by signal 9"
        assert folder.read_outcome() is None
        next_one = _folder(tmp_path / "next", self.quick())
        _wait_for_end(executor, executor.start([next_one], Resources()))
        assert next_one.read_outcome() is not None

    def test_kill_ends_a_run_without_an_outcome(self, executor: Executor, tmp_path: Path) -> None:
        if not self.separate:
            pytest.skip("the run's process is this one")
        folder = _folder(tmp_path / "run", self.slow())
        [handle] = executor.start([folder], Resources())
        while not read_progress(folder.progress):
            executor.wait(0.2)
        handle.kill()
        _wait_for_end(executor, [handle])
        assert handle.death is not None
        assert not handle.death.out_of_memory
        assert folder.read_outcome() is None
        handle.kill()  # once more is harmless

    def test_close_leaves_no_process_and_ends_what_runs(self, tmp_path: Path) -> None:
        executor = self.make(lambda: None)
        quick = _folder(tmp_path / "quick", self.quick())
        _wait_for_end(executor, executor.start([quick], Resources()))
        if not self.separate:
            executor.close()
            return
        slow = _folder(tmp_path / "slow", self.slow())
        [handle] = executor.start([slow], Resources())
        while not read_progress(slow.progress):
            executor.wait(0.2)
        workers = _workers(handle)
        assert workers
        executor.close()
        assert handle.ended
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert alive == []
        assert slow.read_outcome() is None
        executor.close()  # once more is harmless

    def test_nothing_is_refused_for_long_while_nothing_runs(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        much = Resources(cpus=1, memory_mib=1e9, device_mib=1e9, walltime_seconds=3600.0)
        for resources in (Resources(), Resources(alone=True), much):
            _wait_for_place(executor, resources)
        _wait_for_end(executor, executor.start([_folder(tmp_path / "run", self.quick())], much))
        _wait_for_place(executor, much)  # after a run, too

    def test_a_refusal_says_why(self, executor: Executor, tmp_path: Path) -> None:
        folders = [_folder(tmp_path / str(i), self.quick()) for i in range(executor.slots)]
        handles = executor.start(folders, Resources())
        reason = executor.refusal(Resources())
        assert reason, "all slots are taken"
        assert "\n" not in reason
        _wait_for_end(executor, handles)
        _wait_for_place(executor, Resources())

    def test_a_run_tells_its_peak(self, executor: Executor, tmp_path: Path) -> None:
        folder = _folder(tmp_path / "run", self.quick())
        _wait_for_end(executor, executor.start([folder], Resources(alone=True)))
        outcome = folder.read_outcome()
        assert outcome is not None
        assert outcome.memory_mib >= outcome.idle_mib > 1.0
        assert all(
            0.0 < report.memory_mib <= outcome.memory_mib
            for report in read_progress(folder.progress)
        )

    def test_status_says_where_it_runs(self, executor: Executor, tmp_path: Path) -> None:
        [handle] = executor.start([_folder(tmp_path / "run", self.quick())], Resources())
        assert handle.status()
        _wait_for_end(executor, [handle])


def _folder(path: Path, tree: Tree) -> RunFolder:
    """Make a run folder whose first attempt can be started."""
    folder = RunFolder(path)
    folder.write_config(tree)
    folder.begin_attempt()
    return folder


def _wait_for_end(executor: Executor, handles: list[Handle]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not all(handle.ended for handle in handles):
        executor.wait(1.0)
        assert time.monotonic() < deadline, "a run does not end"


def _wait_for_place(executor: Executor, resources: Resources) -> None:
    """Wait until a run is not refused; workers may have to begin first."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (reason := executor.refusal(resources)) is not None:
        executor.wait(0.2)
        assert time.monotonic() < deadline, reason


def _workers(handle: Handle) -> list[psutil.Process]:
    """Return the processes of this machine that have the run's log open."""
    log = str(handle.folder.log.resolve())
    found = []
    for process in psutil.process_iter():
        try:
            if any(file.path == log for file in process.open_files()):
                found.append(process)
        except psutil.Error:
            continue
    return found
