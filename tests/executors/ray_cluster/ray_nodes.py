"""A Ray cluster of node processes on this machine, for tests."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


class Nodes:
    """A head, which has no CPUs unless told, and nodes that can be lost."""

    def __init__(self, head_cpus: int = 0) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": head_cpus}
        self.cluster: Any = twice(lambda: Cluster(initialize_head=True, head_node_args=head))

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, **node: Any) -> Any:
        return twice(lambda: self.cluster.add_node(**node))

    def lose(self, node: Any) -> None:
        """Kill every process of a node, workers included, as a power cut does."""
        raylets = [info.process.pid for info in node.all_processes["raylet"]]
        family = [p for pid in raylets for p in family_of(pid)]
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)


def twice(start: Callable[[], Any]) -> Any:
    """Start a node, again if the machine was too busy for the 30 s that Ray allows it."""
    try:
        return start()
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        return start()


def family_of(pid: int) -> list[psutil.Process]:
    try:
        own = psutil.Process(pid)
        return [own, *own.children(recursive=True)]
    except psutil.Error:
        return []


@contextlib.contextmanager
def ray_nodes(*cpus: int, head_cpus: int = 0) -> Iterator[Nodes]:
    """Yield a cluster with a node for each number of CPUs."""
    nodes = Nodes(head_cpus)
    try:
        for count in cpus:
            nodes.add(num_cpus=count)
        yield nodes
    finally:
        nodes.cluster.shutdown()


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.1)
    return found
