"""Nodes that cannot work for a study: with other code, or without its folder."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ray_nodes import Nodes, family_of, ray_nodes, until

import tunewright
from tunewright.config.compose import compose
from tunewright.config.schema import ExecutorConfig
from tunewright.errors import ConfigError
from tunewright.executors.executor import Resources
from tunewright.executors.ray_cluster.open_cluster import open_cluster
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.search.prepare import run_part

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

NAMESPACE = ["unshare", "--mount"]


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """A cluster for each test: the killed node of the one before would look alive for a while."""
    with ray_nodes() as made:
        yield made


@contextmanager
def foreign_node(nodes: Nodes, *before: str, **environment: str) -> Iterator[None]:
    """A node that `ray start` begins, as on another host."""
    words = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={nodes.address}"]
    process = subprocess.Popen(
        [*before, *words, "--num-cpus=1", "--block"],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        for one in family_of(process.pid):
            one.send_signal(signal.SIGKILL)
        process.wait()


def run_folder(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.write_config(run_part(compose(find_recipe("quadratic"), ()).tree))
    folder.begin_attempt()
    return folder


def refused(nodes: Nodes, folder: RunFolder) -> str:
    """What the executor says when it starts a run on the only node that there is."""
    config = ExecutorConfig(type="ray", threads=1, ray={"address": nodes.address})

    def opened():
        try:
            return open_cluster(config)
        except ConfigError:  # the node has not joined yet
            return None

    executor = until(opened)
    try:
        executor.start([folder], Resources())
        with pytest.raises(ConfigError) as error:
            until(lambda: executor.wait(0.5), 120.0)
        return str(error.value)
    finally:
        executor.close()


def test_a_node_with_other_code_is_refused(nodes: Nodes, tmp_path: Path) -> None:
    source = Path(tunewright.__file__).parents[1]
    shutil.copytree(source, tmp_path / "src")
    (tmp_path / "src/tunewright/added.py").write_text('"""Another version."""\n')
    path = os.pathsep.join([str(tmp_path / "src"), os.environ["PYTHONPATH"]])
    with foreign_node(nodes, PYTHONPATH=path):
        text = refused(nodes, run_folder(tmp_path / "run"))
    assert "and here is 0.1.0 (" in text
    assert "expected the same code on all nodes and here" in text


def test_a_node_that_does_not_see_the_folder_is_refused(nodes: Nodes, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    allowed = subprocess.run([*NAMESPACE, "true"], capture_output=True)
    if allowed.returncode != 0:
        pytest.skip("mounts of its own are not permitted here")
    hide = f'mount -t tmpfs none "{tmp_path / "runs"}" && exec "$@"'
    with foreign_node(nodes, *NAMESPACE, "sh", "-c", hide, "sh"):
        text = refused(nodes, run_folder(tmp_path / "runs" / "run"))
    assert f"does not see {tmp_path / 'runs' / 'run'}" in text
    assert "a file system that all nodes of the Ray cluster share" in text
