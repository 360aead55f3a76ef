"""Workers in jobs on this machine keep the contract of executors."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tunewright.config.compose import compose
from tunewright.config.schema import ExecutorConfig
from tunewright.config.tree import Tree
from tunewright.executors.executor import Executor
from tunewright.executors.factory import EXECUTORS, ExecutorRequest
from tunewright.executors.resources import Share
from tunewright.recipes.registry import find_recipe
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


def configuration(*overrides: str) -> Tree:
    return run_part(compose(find_recipe("quadratic"), overrides).tree)
