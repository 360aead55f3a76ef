"""The executor on a Ray cluster keeps the contract of executors."""

import os
import time
from collections.abc import Callable, Iterator

import pytest

from tunewright.config.schema import ExecutorConfig
from tunewright.config.tree import Tree
from tunewright.executors.executor import Executor
from tunewright.executors.ray_cluster.open_cluster import open_cluster
from tunewright.testing.executors import ExecutorContract

pytest.importorskip("ray")
TWO_SLOTS = (
    "test_several_folders_are_started_and_end_with_outcomes",
    "test_a_refusal_says_why",
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    for last in (False, True):  # a busy machine may exceed the 30 s that Ray allows a node
        try:
            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
            break
        except Exception:
            if last:
                raise
    yield cluster.address
    cluster.shutdown()


@pytest.mark.slow
class TestRay(ExecutorContract):
    address: str
    most: int

    @pytest.fixture(autouse=True)
    def _cluster(self, address: str, request: pytest.FixtureRequest) -> None:
        self.address = address
        # Each new slot imports torch once: two only where a second one matters.
        self.most = 2 if request.node.originalname in TWO_SLOTS else 1

    def make(self, on_report: Callable[[], None]) -> Executor:
        config = ExecutorConfig(type="ray", threads=1, ray={"address": self.address})
        executor = open_cluster(config, most=self.most)
        while executor.begun < self.most:
            executor.wait(0.1)
            time.sleep(0.1)
        return executor

    def quick(self) -> Tree:
        return configuration()

    def slow(self) -> Tree:
        return configuration("epoch_seconds=0.05", "training.epochs=10000")

    def doomed(self) -> Tree:
        return configuration("faults.kind='signal 9'", "faults.epoch=1")


def configuration(*overrides: str) -> Tree:
    from tunewright.config.compose import compose
    from tunewright.recipes.registry import find_recipe
    from tunewright.search.prepare import run_part

    return run_part(compose(find_recipe("quadratic"), overrides).tree)
