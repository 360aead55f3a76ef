"""What `evaluate` writes, and where."""

import json
from pathlib import Path

import pytest

import tunewright
from tunewright.errors import ConfigError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    trained = tunewright.train(
        "pairs", "training.epochs=1", "executor.type=inline", runs_dir=runs, name="one"
    )
    return trained.folders[0].path


def test_another_split_leaves_the_figures_of_the_test_set_alone(run: Path) -> None:
    _, test = tunewright.evaluate(run)
    before = (run / "evaluation.json").read_bytes()
    _, valid = tunewright.evaluate(run, split="valid")
    assert (test["split"], valid["split"]) == ("test", "valid")
    assert (run / "evaluation.json").read_bytes() == before
    assert json.loads((run / "evaluation-valid.json").read_text())["split"] == "valid"
    assert "evaluation-valid.json" in valid["files"]


def test_a_split_that_is_none_is_a_slip_of_the_user(run: Path) -> None:
    with pytest.raises(ConfigError, match="split 'tset'"):
        tunewright.evaluate(run, split="tset")
