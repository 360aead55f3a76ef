"""`export`: files for other programs."""

import importlib.util
from pathlib import Path

import pytest
from practice.pictures.drawn import draw_set
from practice.pictures.made import made_run

import tunewright
from tunewright.classification.delivery import export as parts
from tunewright.deliver.classification import export as module
from tunewright.errors import ConfigError, DataError, UsageError
from tunewright.runs.atomic import write_json

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


def test_an_ensemble_has_no_one_graph(runs):
    stored = {"runs": ["../one", "../one"], "weights": [0.5, 0.5], "average": "probabilities"}
    write_json(runs / "both" / "ensemble.json", stored)
    with pytest.raises(DataError, match="is an ensemble of 2 runs"):
        tunewright.export("both", runs_dir=runs)
