"""The guide's result files of `retina`, of a search and of each run."""

import csv
import json
from pathlib import Path

import pytest

import tunewright
from tunewright.config.tree import get
from tunewright.recipes.retina.guide_files import write_run_records
from tunewright.runs.atomic import read_yaml
from tunewright.runs.folder import RunFolder, StudyFolder

FAST = (
    "executor.type=inline", "data.image_size=32", "model.embed_dim=16", "model.text_width=16",
    "fidelity=quick", "data.train_rows=24", "data.valid_rows=24", "training.epochs=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    runs = tmp_path_factory.mktemp("runs")
    tuned = tunewright.tune("retina", *FAST, sampler="grid", trials=3, runs_dir=runs)
    assert tuned.final is None
    return tuned.folder


def test_the_table_of_a_search_has_the_columns_of_the_guide(study: StudyFolder) -> None:
    with (study.path / "grid_search_results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["lr", "batch_size", "warmup", "accuracy", "val_balanced_accuracy"]
    assert len(rows) == 3
    for number, row in enumerate(rows):
        tree = study.trial(number).read_config()
        outcome = study.trial(number).read_outcome()
        assert outcome is not None
        assert float(row["lr"]) == tree["optim"]["lr"]
        assert int(row["batch_size"]) == tree["training"]["batch_size"]
        assert float(row["warmup"]) == tree["warmup"]
        assert float(row["accuracy"]) == outcome.metrics["val_accuracy"]


def test_each_run_has_a_record_and_gets_its_test_accuracy_by_the_evaluation(
    study: StudyFolder,
) -> None:
    for number in range(3):
        [file] = study.trial(number).path.glob("run_*.json")
        found = json.loads(file.read_text(encoding="utf-8"))
        outcome = study.trial(number).read_outcome()
        assert outcome is not None
        assert found["config"].keys() == {"lr", "batch_size", "warmup", "weight_decay"}
        assert found["val_accuracy"] == outcome.metrics["val_accuracy"]
        assert found["train_loss"] > 0
        assert found["test_accuracy"] is None
    run = study.trial(0)
    (run.path / "evaluation.json").write_text('{"split": "test", "metrics": {"accuracy": 0.5}}')
    write_run_records(run)
    [file] = run.path.glob("run_*.json")
    assert json.loads(file.read_text(encoding="utf-8"))["test_accuracy"] == 0.5


def test_a_run_that_has_not_ended_has_no_record(tmp_path: Path) -> None:
    write_run_records(RunFolder(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_second_phase_begins_at_the_best_of_the_first(study: StudyFolder) -> None:
    best = read_yaml(study.best_config)
    words = [word for word in FAST if "fidelity" not in word and "train_rows" not in word]
    tuned = tunewright.tune(
        "retina", *words, "data.train_rows=128", "fidelity=full", "study.final=false",
        from_=study.path.name, sampler="random", trials=1, runs_dir=study.path.parent,
    )  # fmt: skip
    assert tuned.record.name == "retina-full"
    tree = tuned.folder.trial(0).read_config()
    assert tree["fidelity"] == "full"
    assert tree["training"]["patience"] == 3
    for path in ("optim.lr", "training.batch_size"):
        assert get(tree, path) == get(best, path)
    assert tree["warmup"] == 0.2  # the shipped space ends there, below the warm-ups of the guide
