"""A run is measured on other data, beside the weights that it began from."""

import csv
from pathlib import Path

import pytest
from eye_files import HEADER, picture, write_patients, write_table

import tunewright
from tunewright.deliver.checkpoint_accuracy import evaluate_checkpoint
from tunewright.errors import DataError
from tunewright.recipes.retina.evaluation import eye_metrics
from tunewright.recipes.retina.evaluation.notes import chance_notes
from tunewright.runs.atomic import read_json
from tunewright.runs.record import Progress
from tunewright.search.evaluate_run import Evaluation

SMALL = ("data.image_size=24", "model.embed_dim=8", "model.text_width=8", "model.text_heads=2")
SMALL += ("model.text_layers=1", "training.batch_size=6", "executor.type=inline")


def train(folder: Path, runs: Path, *words: str) -> Path:
    trained = tunewright.train(
        "retina", *SMALL, f"data.dir={folder}", "training.epochs=2", *words, runs_dir=runs
    )
    return trained.folders[0].path


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw 20 samples for an interval: their number is tested elsewhere."""
    draws = eye_metrics.patient_draws
    few = lambda patients, _, seed=0: draws(patients, 20, seed)  # noqa: E731
    monkeypatch.setattr(eye_metrics, "patient_draws", few)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("eyes")


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    write_patients(place / "data", 30, ("a", "b", "c"))
    return train(place / "data", place / "runs")


def other_patients(folder: Path, classes: str, *, first: int = 100, count: int = 12) -> Path:
    rows = []
    folder.mkdir(parents=True)
    for number in range(count):
        names = [f"q{number}_{side}.png" for side in ("left", "right")]
        for at, name in enumerate(names):
            (folder / name).write_bytes(picture(first + 2 * number + at))
        label = classes[number % len(classes)]
        rows.append((f"q{number}", *names, f"an eye with {label}", label))
    write_table(folder, rows, HEADER[:-1])
    return folder


def evaluated(run: Path, data: Path) -> Evaluation:
    return tunewright.evaluate(run, data=data)


def test_patients_in_another_folder(run: Path, tmp_path: Path) -> None:
    found = evaluated(run, other_patients(tmp_path / "other", "cab"))
    assert found.figures["patients"] == 12
    assert [row["class"] for row in found.figures["per_class"]] == ["a", "b", "c"]
    assert [row["n"] for row in found.figures["per_class"]] == [4, 4, 4]
    assert found.baselines.keys() == {"majority class", "image-only probe", "linear probe"}
    assert all(file.is_file() for file in found.files)
    assert found.files[0].name.startswith("evaluation-other-")
    assert read_json(found.files[0]) == found.as_json()
    assert not any("trained on" in note for note in found.notes)


def test_the_run_s_own_test_set_by_other_means(run: Path, place: Path, tmp_path: Path) -> None:
    """As an LMDB, whose test set is that of the run: the same figures."""
    pytest.importorskip("lmdb")
    from tunewright.recipes.retina.config import EyesConfig
    from tunewright.recipes.retina.data.lmdb_build import build_lmdb

    build_lmdb(EyesConfig(dir=str(place / "data")), tmp_path / "db")
    own = tunewright.evaluate(run)
    for data in (tmp_path / "db", tmp_path / "db" / "test"):
        found = evaluated(run, data)
        assert found.metrics == pytest.approx(dict(own.metrics), abs=1e-6)
        assert found.figures["confusion"] == own.figures["confusion"]


def test_classes_that_the_run_does_not_know(run: Path, tmp_path: Path) -> None:
    found = evaluated(run, other_patients(tmp_path / "other", "azb"))
    assert [row["n"] for row in found.figures["per_class"]] == [4, 4, 0]
    assert any("1 classes are unknown to the run" in note for note in found.notes)
    assert any("(z: 4); 4 of 12 patients" in note for note in found.notes)
    with pytest.raises(DataError, match="expected some of those that the run was trained on"):
        evaluated(run, other_patients(tmp_path / "strange", "xyz"))


def test_photographs_that_were_trained_on_are_said(run: Path, place: Path, tmp_path: Path) -> None:
    found = evaluated(run, other_patients(tmp_path / "other", "ab", first=0, count=30))
    assert any("the scores are too good" in note for note in found.notes)


class Frame:
    """What the guide calls `test_df`."""

    def __init__(self, rows: list[tuple[object, ...]]) -> None:
        self.rows = rows

    def to_csv(self, path: str, *, index: bool) -> None:
        assert not index
        with Path(path).open("w", newline="") as file:
            csv.writer(file).writerows([("dataset_index", "label", "prompt"), *self.rows])


def test_the_guide_s_table_names_patients_of_the_run(run: Path) -> None:
    own = tunewright.evaluate(run)
    patients = [p for p in range(30) if f"p{p}" in patients_of_test(run)]
    frame = Frame([(f"p{p}", "abc"[p % 3], f"an eye with {'abc'[p % 3]}") for p in patients])
    accuracy = evaluate_checkpoint(run / "checkpoints" / "best.safetensors", frame)
    assert accuracy == pytest.approx(own.metrics["accuracy"])
    assert tunewright.evaluate_checkpoint is evaluate_checkpoint
    assert evaluate_checkpoint(run.name, frame, runs_dir=run.parent) == accuracy
    with pytest.raises(DataError, match="'nobody' of line 2"):
        evaluate_checkpoint(run, Frame([("nobody", "a", "x")]))


def patients_of_test(run: Path) -> set[str]:
    from tunewright.config.check import validate
    from tunewright.recipes.retina.config import RetinaConfig
    from tunewright.recipes.retina.data.datasets import open_eye_sets
    from tunewright.runs.folder import RunFolder

    sets = open_eye_sets(validate(RunFolder(run).read_config(), RetinaConfig).data)
    assert sets.test is not None
    return set(sets.test.patients)


def test_no_accuracy_without_labels(run: Path, tmp_path: Path) -> None:
    folder = other_patients(tmp_path / "other", "a")
    lines = (folder / "index.csv").read_text().splitlines()
    (folder / "index.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    assert "recall_1" in evaluated(run, folder).metrics
    with pytest.raises(DataError, match="cannot be measured"):
        evaluate_checkpoint(run, folder)


def test_the_row_before_training_is_the_model_it_began_from(run: Path, place: Path) -> None:
    former = tunewright.evaluate(run)
    again = train(place / "data", place / "again", f"model.weights={run}", "optim.lr=0.01")
    found = tunewright.evaluate(again)
    before = found.baselines["before training"]
    assert dict(before) == pytest.approx(dict(former.metrics), abs=1e-5)
    gain = found.figures["above_baselines"]["before training"]["balanced_accuracy"]
    change = found.metrics["balanced_accuracy"] - former.metrics["balanced_accuracy"]
    assert gain["value"] == pytest.approx(change)
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert any(note.startswith("training ") for note in found.notes)
    assert "before training" not in former.baselines


def test_starting_weights_that_are_gone(run: Path, place: Path, tmp_path: Path) -> None:
    file = tmp_path / "start.safetensors"
    file.write_bytes((run / "checkpoints" / "best.safetensors").read_bytes())
    again = train(place / "data", tmp_path / "runs", f"model.weights={file}")
    file.unlink()
    found = tunewright.evaluate(again)
    assert "before training" not in found.baselines
    assert any("the weights before training are not measured" in note for note in found.notes)


@pytest.mark.parametrize(("loss", "said"), [(10.4, True), (10.36, True), (9.0, False)])
def test_a_loss_no_better_than_chance_is_said(loss: float, said: bool) -> None:
    history = [
        Progress(1, 1, {"train_loss": 5.0, "train_chance": 10.4}, 1.0),
        Progress(1, 2, {"train_loss": loss, "train_chance": 10.4}, 1.0),
        Progress(1, 2, {"val_accuracy": 0.2}, 1.0),
    ]
    assert bool(chance_notes(history)) == said
