"""`export`: files for other programs."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from practice.pictures.drawn import draw_set
from practice.pictures.made import made_run, opened

import tunewright
from tunewright.classification.delivery import export as parts
from tunewright.deliver.classification import export as module
from tunewright.errors import ConfigError, DataError, UsageError
from tunewright.runs.atomic import write_json
from tunewright.runs.folder import RunFolder

ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nothing on the terminal of the tests."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("export")
    draw_set(place / "data")
    made_run(place / "runs" / "one", place / "data", steps=5)
    return place / "runs"


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("to", ["safetensors", "torch-export", "onnx"])
def test_each_format_beside_its_run(runs, to, half):
    if to == "onnx" and not ONNX:
        pytest.skip("needs the extra `onnx`: pip install 'tunewright[onnx]'")
    found = tunewright.export("one", to=to, half=half, runs_dir=runs, on_progress=quiet)
    name = "model-half" if half else "model"
    assert found.file == runs / "one" / "export" / f"{name}{parts.SUFFIXES[to]}"
    assert found.bytes == found.file.stat().st_size
    if half:
        assert found.largest_difference < 0.1
        assert found.accuracy["pictures"] == 28
        assert abs(found.accuracy["float32"] - found.accuracy["float16"]) < 0.1
    else:
        assert found.largest_difference <= 1e-4
        assert found.accuracy is None
        assert "accuracy" not in found.as_json()


def test_a_file_of_ones_own(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tunewright.export(runs / "one", output="mine.safetensors", on_progress=quiet)
    assert (tmp_path / "mine.safetensors").exists()


def test_a_folder_is_no_output(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "open_members", lambda _: pytest.fail("opened a model"))
    with pytest.raises(UsageError, match=f"--output {tmp_path} is a folder: expected the name"):
        tunewright.export("one", output=tmp_path, runs_dir=runs, on_progress=quiet)


def test_a_format_that_is_none(runs):
    with pytest.raises(UsageError, match="Did you mean 'onnx'"):
        tunewright.export("one", to="onxx", runs_dir=runs)


def test_without_onnx_the_remedy_is_told(runs, monkeypatch):
    monkeypatch.setattr(parts.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'tunewright\[onnx\]'"):
        tunewright.export("one", to="onnx", runs_dir=runs, on_progress=quiet)


def test_an_ensemble_is_one_graph_in_onnx_alone(runs):
    stored = {"runs": ["../one", "../one"], "weights": [0.5, 0.5], "average": "probabilities"}
    write_json(runs / "both" / "ensemble.json", stored)
    with pytest.raises(DataError, match=r"is an ensemble of 2 runs.*--to onnx"):
        tunewright.export("both", runs_dir=runs)


needs_onnx = pytest.mark.skipif(not ONNX, reason="needs: pip install 'tunewright[onnx]'")


@needs_onnx
def test_the_onnx_file_says_how_pictures_are_prepared(runs, tmp_path):
    import onnxruntime

    file = tmp_path / "model.onnx"
    tunewright.export("one", to="onnx", output=file, runs_dir=runs, on_progress=quiet)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    said = {
        key: json.loads(text) for key, text in session.get_modelmeta().custom_metadata_map.items()
    }
    assert said["classes"] == said["class_names"] == ["blue", "green", "red"]
    assert (said["size"], said["resize"], said["window"]) == (16, "squash", None)
    assert said["interpolation"] == "bilinear, antialiased"
    assert said["normalisation"] == {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.25]}
    assert said["normalised_in_graph"] is True
    assert said["tunewright"]["class_counts"] == [18, 14, 9]


@needs_onnx
@pytest.mark.parametrize("average", ["probabilities", "geometric"])
@pytest.mark.parametrize("half", [False, True])
def test_an_ensemble_of_two_sizes_is_one_onnx(runs, tmp_path, average, half):
    import onnxruntime

    if not (runs / "other").exists():
        made_run(runs / "other", runs.parent / "data", seed=2, size=24, steps=5)
    stored = {"runs": ["../one", "../other"], "weights": [0.75, 0.25], "average": average}
    write_json(runs / average / "ensemble.json", stored)
    found = tunewright.export(average, to="onnx", half=half, runs_dir=runs, on_progress=quiet)
    assert found.inputs == ("images_16_squash", "images_24_squash")
    assert found.largest_difference <= (0.1 if half else 1e-4)
    if half:
        assert abs(found.accuracy["float32"] - found.accuracy["float16"]) < 0.1
    # By hand: each member's own file, averaged.
    session = onnxruntime.InferenceSession(str(found.file), providers=["CPUExecutionProvider"])
    draws = np.random.default_rng(0)
    pictures = {
        f"images_{size}_squash": draws.integers(0, 256, (3, 3, size, size), dtype=np.uint8)
        for size in (16, 24)
    }
    (logits,) = session.run(["logits"], pictures)
    shares = []
    for name, images in zip(("one", "other"), pictures.values(), strict=True):
        with torch.no_grad():
            shares.append(opened(RunFolder(runs / name)).logits(torch.from_numpy(images)))
    first, second = (each.softmax(1).double() for each in shares)
    mean = 0.75 * first + 0.25 * second
    if average == "geometric":
        mean = first**0.75 * second**0.25
        mean = mean / mean.sum(1, keepdim=True)
    np.testing.assert_allclose(np.exp(logits), mean, atol=0.02 if half else 1e-5)
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["size"]) == [16, 24]
    assert json.loads(said["resize"]) == "squash"
    assert len(json.loads(said["tunewright"])) == 2
