"""`submit`: what is packed runs, and is the same every time."""

import errno
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from practice.pictures.drawn import draw_set, draw_test
from practice.pictures.made import made_run
from safetensors.torch import load_file

import tunewright
from tunewright.classification.delivery import predictions_csv
from tunewright.classification.delivery.submission import REQUIRED
from tunewright.deliver.classification import submit as module
from tunewright.errors import DataError, UsageError
from tunewright.runs.atomic import read_json, write_json


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nothing on the terminal of the tests."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("submit")
    draw_set(place / "data")
    draw_test(place / "test", 10)
    for seed in (1, 2):
        made_run(place / "runs" / f"run{seed}", place / "data", seed=seed, steps=8)
    stored = {"runs": ["../run1", "../run2"], "weights": [0.3, 0.7], "average": "geometric"}
    write_json(place / "runs" / "both" / "ensemble.json", stored)
    return place


def refused(file: Path, read):
    """`read` but for one file, as for whoever is not root."""

    def read_others(path: Path, **options) -> bytes:
        if path == file:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return read(path, **options)

    return read_others


def predicted(place: Path, output: Path, run: str = "run1", **options) -> None:
    given = {"data": place / "test", "runs_dir": place / "runs", "on_progress": quiet}
    tunewright.predict(run, output=output, **(given | options))


def submitted(place: Path, tmp_path: Path, run: str = "run1", **options):
    given = {
        "predictions": tmp_path / "predictions.csv",
        "output": tmp_path / "submission.zip",
        "runs_dir": place / "runs",
        "on_progress": quiet,
    }
    return tunewright.submit(run, **(given | options))


def test_it_has_everything_and_is_the_same_twice(place, tmp_path):
    predicted(place, tmp_path / "predictions.csv")
    found = submitted(place, tmp_path)
    first = (tmp_path / "submission.zip").read_bytes()
    submitted(place, tmp_path, output=tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == first
    names = [name for name, _ in found.files]
    assert set(REQUIRED) < set(names)
    assert "model/best_model.safetensors" in names
    assert found.rows == 10
    assert found.made_here
    assert found.bytes == len(first)
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert archive.testzip() is None
        packed = archive.read("result/predictions.csv")
        whole = b"".join(archive.read(name) for name in names if not name.startswith("model/"))
    assert packed == (tmp_path / "predictions.csv").read_bytes()
    assert str(place).encode() not in whole  # no path of this machine


@pytest.mark.parametrize("run", ["run1", pytest.param("both", marks=pytest.mark.slow)])
def test_what_is_packed_predicts_the_same_without_us(place, tmp_path, run):
    """In a fresh process that imports the sources of the ZIP, from another folder."""
    predicted(place, tmp_path / "predictions.csv", run, views="vflip,rotate=3", force=True)
    submitted(place, tmp_path, run)
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        archive.extractall(unpacked)
    readme = (unpacked / "README.md").read_text()
    assert "python code/inference.py --data DIR --output predictions.csv --tta" in readme
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    plugin = Path(__file__).parents[2] / "plugin"  # the practice recipe is no part of the package
    environment = {**os.environ, "PYTHONPATH": str(plugin)}
    script = str(unpacked / "code" / "inference.py")
    words = ["--data", str(place / "test"), "--output", "mine.csv", "--tta"]
    command = [sys.executable, "-W", "error", script, *words]
    done = subprocess.run(
        command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (elsewhere / "mine.csv").read_bytes() == (tmp_path / "predictions.csv").read_bytes()
    origin = "import sys; sys.path.insert(0, sys.argv[1]); import tunewright; print(tunewright)"
    code = [sys.executable, "-c", origin, str(unpacked / "code")]
    told = subprocess.run(code, cwd=elsewhere, capture_output=True, text=True, check=True)
    assert str(unpacked) in told.stdout


@pytest.mark.slow
def test_a_shipped_recipe_runs_from_its_zip_alone(tmp_path):
    """Trained again, and predicted, with nothing of ours on the path."""
    data = draw_set(tmp_path / "data" / "pictures")
    test = draw_test(tmp_path / "test", 10)
    words = (f"data.dir={data}", "data.image_size=32", "model.fusion=simple_concat")
    words += ("training.epochs=1", "training.batch_size=16", "executor.type=inline")
    tunewright.train("longtail", *words, name="run1", runs_dir=tmp_path / "runs")
    predicted(tmp_path, tmp_path / "predictions.csv", data=test)
    submitted(tmp_path, tmp_path)
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    (tmp_path / "data").rename(tmp_path / "moved")
    code, home = tmp_path / "unpacked" / "code", {**os.environ, "PYTHONPATH": ""}
    for command in (
        ["inference.py", "--data", str(test), "--output", str(tmp_path / "again.csv")],
        ["train.py", "--data", str(tmp_path / "moved" / "pictures"), "--runs", str(tmp_path / "r")],
    ):
        script = [sys.executable, "-W", "error", str(code / command[0]), *command[1:]]
        done = subprocess.run(script, env=home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "predictions.csv").read_bytes()
    assert (tmp_path / "r" / "trained" / "checkpoints" / "best.safetensors").exists()


def test_half_is_packed_as_half(place, tmp_path):
    predicted(place, tmp_path / "predictions.csv")
    submitted(place, tmp_path, half=True)
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        archive.extract("model/best_model.safetensors", tmp_path)
        assert "float16" in archive.read("README.md").decode()
    weights = load_file(tmp_path / "model" / "best_model.safetensors")
    assert {str(tensor.dtype) for tensor in weights.values()} == {"torch.float16", "torch.int64"}


def test_requirements_are_pinned(place, tmp_path):
    predicted(place, tmp_path / "predictions.csv")
    submitted(place, tmp_path)
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        lines = archive.read("requirements.txt").decode().splitlines()
        assert archive.read("code/requirements.txt") == archive.read("requirements.txt")
    names = {line.split("==")[0] for line in lines}
    assert {"torch", "timm", "pillow", "safetensors"} <= names
    assert all(line.count("==") == 1 and "+" not in line for line in lines)
    assert "mlflow" not in names


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda text: text.replace("img_3.png,", "img_33.png,"), "1 not in the test set"),
        (lambda text: "\n".join(text.splitlines()[:-1]) + "\n", "1 without a prediction"),
        (lambda text: text + text.splitlines()[-1] + "\n", "1 more than once"),
        (lambda text: text.replace("blue", "purple"), r"1 no label of the model \('purple'\)"),
        (lambda text: "\ufeff" + text, "byte order mark"),
        (lambda text: text.replace("image_id", "id"), "the header image_id,label"),
        (lambda text: text.replace("\n", "\r\n"), "Windows line ends"),
    ],
)
def test_predictions_that_a_contest_refuses_are_not_packed(place, tmp_path, change, text):
    predicted(place, tmp_path / "predictions.csv")
    content = change((tmp_path / "predictions.csv").read_text())
    (tmp_path / "predictions.csv").write_bytes(content.encode())
    for verify_only in (False, True):
        with pytest.raises(DataError, match=text):
            submitted(place, tmp_path, verify_only=verify_only)
    assert not (tmp_path / "submission.zip").exists()


def test_predictions_of_others_are_told_apart(place, tmp_path):
    predicted(place, tmp_path / "predictions.csv", "run2")
    found = submitted(place, tmp_path, "run1", data=place / "test")
    assert not found.made_here
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert "--tta" not in archive.read("README.md").decode()


def test_verify_only_writes_nothing(place, tmp_path):
    predicted(place, tmp_path / "predictions.csv")
    found = submitted(place, tmp_path, verify_only=True)
    assert found.output is None
    assert not (tmp_path / "submission.zip").exists()
    submitted(place, tmp_path)
    before = (tmp_path / "submission.zip").read_bytes()
    found = submitted(place, tmp_path, verify_only=True)
    assert found.verified_only
    assert found.bytes == len(before)
    (tmp_path / "submission.zip").write_bytes(before[: len(before) // 2])
    with pytest.raises(DataError, match="not a readable ZIP"):
        submitted(place, tmp_path, verify_only=True)


def test_a_zip_with_other_predictions_is_found_out(place, tmp_path):
    predicted(place, tmp_path / "predictions.csv")
    submitted(place, tmp_path)
    text = (tmp_path / "predictions.csv").read_text()
    swapped = text.replace("red", "x").replace("blue", "red").replace("x", "blue")
    (tmp_path / "predictions.csv").write_text(swapped)
    with pytest.raises(DataError, match="other predictions than"):
        submitted(place, tmp_path, verify_only=True)


def test_a_folder_is_no_output(place, tmp_path):
    (tmp_path / "predictions.csv").touch()
    for verify_only in (False, True):
        with pytest.raises(UsageError, match=r"--output .* is a folder: expected the name of a f"):
            submitted(place, tmp_path, output=tmp_path, verify_only=verify_only)


def test_without_predictions_the_command_is_told(place, tmp_path):
    with pytest.raises(DataError, match="tunewright predict"):
        submitted(place, tmp_path, predictions=tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        (None, UsageError, r"--predictions .*predictions\.csv is a folder"),
        (b"id,label\na,0\n", DataError, "the header image_id,label"),
    ],
)
def test_what_is_no_predictions_is_refused_before_a_model_is_opened(
    place, tmp_path, monkeypatch, content, error, text
):
    file = tmp_path / "predictions.csv"
    file.mkdir() if content is None else file.write_bytes(content)
    monkeypatch.setattr(module, "open_members", lambda _: pytest.fail("opened a model"))
    with pytest.raises(error, match=text):
        submitted(place, tmp_path)


def test_predictions_that_may_not_be_read_are_refused(place, tmp_path, monkeypatch):
    predicted(place, tmp_path / "predictions.csv")
    read = refused(tmp_path / "predictions.csv", predictions_csv.read_regular)
    monkeypatch.setattr(predictions_csv, "read_regular", read)
    with pytest.raises(DataError, match=r"predictions\.csv cannot be read \(Permission denied\)"):
        submitted(place, tmp_path)


def test_the_test_set_is_what_was_predicted_or_what_is_named(place, tmp_path):
    other = draw_test(tmp_path / "other", 4)
    predicted(place, tmp_path / "predictions.csv", data=other)
    assert submitted(place, tmp_path).rows == 4
    with pytest.raises(DataError, match="6 without a prediction"):
        submitted(place, tmp_path, data=place / "test")


def test_labels_and_category_ids_are_told_apart_by_the_file(place, tmp_path):
    shutil.copytree(place / "runs", tmp_path / "runs")
    here = {"runs_dir": tmp_path / "runs"}
    predicted(place, tmp_path / "labels.csv", **here)  # writes classes.json
    classes = tmp_path / "runs" / "run1" / "classes.json"
    stored = read_json(classes) or {}
    ids = {name: f"c{number}" for number, name in enumerate(stored["classes"])}
    write_json(classes, stored | {"category_ids": ids})
    predicted(place, tmp_path / "ids.csv", category_ids=True, **here)
    for _ in range(2):  # whichever was predicted last
        for name in ("labels", "ids"):
            found = submitted(place, tmp_path, predictions=tmp_path / f"{name}.csv", **here)
            assert found.rows == 10
        predicted(place, tmp_path / "labels.csv", **here)
    file = tmp_path / "labels.csv"
    with pytest.raises(DataError, match=r"holds labels: expected category ids.*with --labels"):
        submitted(place, tmp_path, predictions=file, category_ids=True, **here)
    with pytest.raises(DataError, match=r"holds category ids.*with --category-ids"):
        submitted(place, tmp_path, predictions=tmp_path / "ids.csv", category_ids=False, **here)
