"""Both executors keep the contract, and so does that of a package."""

from collections.abc import Callable

from tunewright.config.compose import compose
from tunewright.config.schema import ExecutorConfig
from tunewright.config.tree import Tree
from tunewright.executors.executor import Executor
from tunewright.executors.factory import EXECUTORS, ExecutorRequest
from tunewright.executors.inline import InlineExecutor
from tunewright.executors.local import LocalExecutor
from tunewright.executors.resources import Share
from tunewright.recipes.registry import find_recipe
from tunewright.search.prepare import run_part
from tunewright.testing.executors import ExecutorContract


class Quadratic(ExecutorContract):
    def quick(self) -> Tree:
        return configuration()

    def slow(self) -> Tree:
        return configuration("epoch_seconds=0.05", "training.epochs=10000")

    def doomed(self) -> Tree:
        return configuration("faults.kind='signal 9'", "faults.epoch=1")


class TestLocal(Quadratic):
    def make(self, on_report: Callable[[], None]) -> Executor:
        return LocalExecutor(2, threads=1)


class TestLocalWithAFreshProcessForEachRun(Quadratic):
    def make(self, on_report: Callable[[], None]) -> Executor:
        return LocalExecutor(2, threads=1, fresh=True)


class TestInline(Quadratic):
    separate = False

    def make(self, on_report: Callable[[], None]) -> Executor:
        return InlineExecutor(on_report)


class TestAPlugin(Quadratic):
    separate = False

    def make(self, on_report: Callable[[], None]) -> Executor:
        config = ExecutorConfig(type="counted", options={"most": 9})
        request = ExecutorRequest(config, Share(1, 1, (), "this process"), on_report)
        return EXECUTORS[config.type](request, **config.options)


def configuration(*overrides: str) -> Tree:
    return run_part(compose(find_recipe("quadratic"), overrides).tree)
