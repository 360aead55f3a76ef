"""Studies on a cluster of two nodes, one of which is killed in the middle: nothing is lost."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_nodes import Nodes, ray_nodes

import tunewright
from tunewright.runs.progress import read_progress
from tunewright.runs.record import StudyRecord
from tunewright.search.callbacks import StudyCallback
from tunewright.search.stages import TuneResult

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

SPACE = {"optim.lr": {"type": "float", "low": 0.001, "high": 1.0, "log": True}}
SCRIPT = """
import os, time
import tunewright.client as tw
lr, folder = tw.params()["optim.lr"], tw.checkpoint_dir()
state = folder / "epoch"
begun = int(state.read_text()) if state.exists() else 0
for epoch in range(begun + 1, 9):
    time.sleep(0.4)
    (folder / "new").write_text(str(epoch))
    os.replace(folder / "new", state)
    tw.report(epoch, acc=1 - abs(lr - 0.1) - 0.5 / epoch)
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with ray_nodes(1) as made:
        yield made


class LosesANode(StudyCallback):
    """Adds a node before the study, and kills it when `reports` have come from its trials."""

    def __init__(self, nodes: Nodes, reports: int) -> None:
        self.nodes, self.left, self.node = nodes, reports, nodes.add(num_cpus=1)
        self.said: list[str] = []

    def notice(self, text: str) -> None:
        self.said.append(text)

    def on_report(self, *_arguments: object) -> None:
        self.left -= 1
        if self.left == 0:
            self.nodes.lose(self.node)


def is_same(one: StudyRecord, other: StudyRecord) -> bool:
    assert [trial.parameters for trial in one.trials] == [t.parameters for t in other.trials]
    assert [trial.state for trial in one.trials] == [t.state for t in other.trials]
    assert one.best is not None
    assert other.best is not None
    assert one.best.number == other.best.number
    return one.best.score == pytest.approx(other.best.score, abs=1e-6)


def tune(recipe: str, *words: str, runs: Path, **more: object) -> TuneResult:
    return tunewright.tune(
        recipe,
        *words,
        "study.sampler.type=random",
        "study.pruner.type=none",
        "study.final=false",
        "study.report=false",
        "executor.threads=1",
        name="study",
        runs_dir=runs,
        **more,
    )


def test_a_study_of_scripts_loses_a_node_and_nothing_else(nodes: Nodes, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(SCRIPT)
    command = {
        "space": SPACE,
        "goal": "acc:max",
        "trials": 6,
        "script": [sys.executable, str(file)],
    }
    watch = LosesANode(nodes, reports=5)
    on_ray = tune(
        "command", "training.epochs=8", "executor.type=ray",
        f"executor.ray.address={nodes.address}", runs=tmp_path / "ray", watch=watch, **command,
    )  # fmt: skip
    here = tune("command", "training.epochs=8", runs=tmp_path / "here", jobs=2, **command)
    assert len(on_ray.record.trials) == 6
    assert [trial.state for trial in on_ray.record.trials] == ["done"] * 6
    assert is_same(on_ray.record, here.record)
    assert any("lost" in text and "resuming" in text for text in watch.said), watch.said
    for trial in on_ray.record.trials:
        reports = read_progress(on_ray.folder.trial(trial.number).progress)
        assert [report.step for report in reports] == list(range(1, 9))


def test_a_study_of_pairs_loses_a_node_and_nothing_else(nodes: Nodes, tmp_path: Path) -> None:
    watch = LosesANode(nodes, reports=7)
    words = ("training.epochs=4",)
    on_ray = tune(
        "pairs", *words, "executor.type=ray", f"executor.ray.address={nodes.address}",
        runs=tmp_path / "ray", trials=6, watch=watch,
    )  # fmt: skip
    here = tune("pairs", *words, runs=tmp_path / "here", trials=6, jobs=2)
    assert [trial.state for trial in on_ray.record.trials] == ["done"] * 6
    assert watch.left <= 0, "the node was not killed"
    assert is_same(on_ray.record, here.record)
