"""What becomes of a run on the cluster whose coordinator is killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from ray_nodes import Nodes, ray_nodes, until

from tunewright.config.compose import compose
from tunewright.config.schema import ExecutorConfig
from tunewright.executors.executor import Resources
from tunewright.executors.ray_cluster.open_cluster import open_cluster
from tunewright.executors.ray_cluster.worker_note import read_note
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import EndRequest
from tunewright.search.prepare import run_part

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

COORDINATOR = """
import sys
from pathlib import Path
from tunewright.config.schema import ExecutorConfig
from tunewright.executors.executor import Resources
from tunewright.executors.ray_cluster.open_cluster import open_cluster
from tunewright.runs.folder import RunFolder
config = ExecutorConfig(
    type="ray", threads=1, ray={"address": sys.argv[1], "lease_minutes": float(sys.argv[3])}
)
executor = open_cluster(config)
executor.start([RunFolder(Path(sys.argv[2]))], Resources())
while True:
    executor.wait(1.0)
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with ray_nodes(1) as made:
        yield made


def left_behind(nodes: Nodes, folder: RunFolder, lease_minutes: float) -> psutil.Process:
    """Start a run from a coordinator that is then killed; return the worker's process."""
    tree = compose(find_recipe("quadratic"), ("epoch_seconds=0.05", "training.epochs=10000")).tree
    folder.write_config(run_part(tree))
    folder.begin_attempt()
    words = [sys.executable, "-c", COORDINATOR, nodes.address, str(folder.path), str(lease_minutes)]
    coordinator = subprocess.Popen(words, env=os.environ)
    try:
        until(lambda: len(read_progress(folder.progress)) > 3)
    finally:
        coordinator.kill()
        coordinator.wait()
    process = int(folder.log.read_text().split("in process ")[1].split()[0])
    return psutil.Process(process)


def test_a_run_is_adopted_by_the_next_coordinator(nodes: Nodes, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    worker = left_behind(nodes, folder, 10.0)
    other = RunFolder(tmp_path / "other")
    other.write_config({})
    other.begin_attempt()
    executor = open_cluster(
        ExecutorConfig(type="ray", threads=1, ray={"address": nodes.address}), most=1
    )
    try:
        assert executor.adopt(other, Resources()) is None
        handle = executor.adopt(folder, Resources())
        assert handle is not None
        assert not handle.ended
        assert handle.folder == folder
        assert executor.slots == 1
        assert executor.refusal(Resources()) == "all 1 slots are taken"
        assert executor.adopt(folder, Resources()) is None, "it has it already"
        before = len(read_progress(folder.progress))
        until(lambda: executor.wait(1.0) or len(read_progress(folder.progress)) > before + 5)
        folder.write_request(EndRequest("pause", 1))
        until(lambda: executor.wait(1.0) or handle.ended)
        outcome = folder.read_outcome()
        assert outcome is not None
        assert (outcome.state, outcome.attempt, handle.death) == ("paused", 1, None)
        assert folder.log.read_text().count("in process") == 1, "it was never started again"
        assert worker.is_running(), "and its worker is warm"
        assert executor.adopt(folder, Resources()) is None
    finally:
        executor.close()
    until(lambda: not worker.is_running(), 10.0)


def test_a_coordinator_that_was_replaced_ends_no_run(nodes: Nodes, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    worker = left_behind(nodes, folder, 10.0)
    config = ExecutorConfig(type="ray", threads=1, ray={"address": nodes.address})
    replaced = open_cluster(config, most=1)
    handle = replaced.adopt(folder, Resources())
    assert handle is not None
    replaced.leave()
    assert handle.ended
    replaced.close()
    before = len(read_progress(folder.progress))
    until(lambda: len(read_progress(folder.progress)) > before + 5)
    following = open_cluster(config, most=1)
    try:
        again = following.adopt(folder, Resources())
        assert again is not None
        again.kill()
        until(lambda: following.wait(1.0) or again.ended)
        assert not worker.is_running()
        assert again.death is not None
    finally:
        following.close()


def test_a_run_that_nobody_adopts_ends_with_its_lease(nodes: Nodes, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    worker = left_behind(nodes, folder, 0.1)
    note = read_note(folder)
    assert note is not None
    until(lambda: not worker.is_running(), 30.0)
    assert folder.read_outcome() is None
    executor = open_cluster(ExecutorConfig(type="ray", ray={"address": nodes.address}), most=1)
    try:
        assert executor.adopt(folder, Resources()) is None
    finally:
        executor.close()
