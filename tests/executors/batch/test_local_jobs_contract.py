"""Workers in jobs on this machine keep the contract of executors."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tunewright.config.compose import compose
from tunewright.config.schema import ExecutorConfig
from tunewright.config.tree import Tree
from tunewright.executors.executor import Executor, Resources
from tunewright.executors.factory import EXECUTORS, ExecutorRequest
from tunewright.executors.resources import Share
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import EndRequest
from tunewright.search.prepare import run_part
from tunewright.testing.executors import ExecutorContract

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def left() -> Iterator[list[Executor]]:
    executors: list[Executor] = []
    yield executors
    for executor in executors:
        executor.close()


class TestLocalJobs(ExecutorContract):
    """Each executor takes over the workers of the one before: a job takes seconds to begin."""

    @pytest.fixture(autouse=True)
    def shared_place(self, place: Path) -> None:
        self.folder = place

    @pytest.fixture
    def executor(self, left: list[Executor]) -> Executor:
        """The executor under test, which lives on as that of a coordinator that was killed."""
        made = self.make(lambda: None)
        left.append(made)
        return made

    def make(self, on_report: Callable[[], None]) -> Executor:
        config = ExecutorConfig(type="local_jobs")
        machine = Share(2, 1, (), "two jobs")
        request = ExecutorRequest(config, machine, on_report, folder=self.folder)
        return EXECUTORS["local_jobs"](request)

    def quick(self) -> Tree:
        return configuration()

    def slow(self) -> Tree:
        return configuration("epoch_seconds=0.05", "training.epochs=10000")

    def doomed(self) -> Tree:
        return configuration("faults.kind='signal 9'", "faults.epoch=1")

    def test_a_run_goes_on_without_its_coordinator_and_is_adopted(
        self, executor: Executor, left: list[Executor], tmp_path: Path
    ) -> None:
        folder = RunFolder(tmp_path / "run")
        folder.write_config(self.slow())
        folder.begin_attempt()
        executor.start([folder], Resources())
        until(executor, lambda: len(read_progress(folder.progress)) > 1)
        second = self.make(lambda: None)
        left.append(second)
        handle = second.adopt(folder, Resources())
        assert handle is not None
        reported = len(read_progress(folder.progress))
        until(second, lambda: len(read_progress(folder.progress)) > reported)
        folder.write_request(EndRequest("pause", folder.attempt))
        until(second, lambda: handle.ended)
        assert handle.death is None
        outcome = folder.read_outcome()
        assert outcome is not None
        assert (outcome.state, outcome.attempt) == ("paused", 1)
        assert second.adopt(folder, Resources()) is None, "it has ended"


def configuration(*overrides: str) -> Tree:
    return run_part(compose(find_recipe("quadratic"), overrides).tree)


def until(executor: Executor, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240.0
    while not holds():
        executor.wait(0.2)
        assert time.monotonic() < deadline
