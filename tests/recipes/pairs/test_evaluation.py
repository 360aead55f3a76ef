"""What `evaluate` writes, and where."""

import json
from pathlib import Path

import numpy as np
import pytest

import tunewright
from tunewright.errors import ConfigError
from tunewright.parts.score_intervals import wilson
from tunewright.recipes.pairs.files import save_pairs


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


def test_a_recall_at_its_bound_is_not_certain_and_says_so(tmp_path: Path) -> None:
    """Texts that are their images, so that the heads and a linear map find every one."""
    draw = np.random.default_rng(0)
    for name, rows in (("train", 256), ("val", 12)):
        vectors = draw.normal(size=(rows, 12)).astype(np.float32)
        ids = [f"{name} {row}" for row in range(rows)]
        save_pairs(tmp_path / "data", name, vectors, vectors, {"image_ids": ids})
    trained = tunewright.train(
        "pairs", f"data.dir={tmp_path / 'data'}", "model=siglip", "training.epochs=80",
        "training.batch_size=128", "optim.lr=0.01", "executor.type=inline", runs_dir=tmp_path,
    )  # fmt: skip
    expected = pytest.approx(list(wilson(12, 12)))
    assert trained.outcomes[0].metrics["val_recall_1"] == 1.0
    assert list(trained.outcomes[0].interval or ()) == expected
    _, result = tunewright.evaluate(trained.folders[0].path)
    assert result["recall_1_interval"] == expected
    assert result["interval_methods"] == {"recall_1": "wilson", "recall_10": "wilson"}
    low, high = result["recall_1_above_ridge_interval"]
    assert low < 0 < high
    assert any("interval of recall_1, recall_10 is Wilson's" in note for note in result["notes"])
