"""Files for other programs, and whether they answer as the run does."""

import json
from dataclasses import replace

import pytest
import torch
from practice.pictures.drawn import draw_set
from practice.pictures.made import made_run, opened
from safetensors import safe_open
from safetensors.torch import load_file

from tunewright.classification.delivery import export
from tunewright.classification.models.cosine_classifier import normalise_classifier
from tunewright.errors import ConfigError, RunError
from tunewright.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("one_thread")

FORMATS = ("safetensors", "torch-export", "onnx")
ONNX = all(export.importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    place = tmp_path_factory.mktemp("export")
    draw_set(place / "data")
    return made_run(place / "run", place / "data", steps=10)


def exported(run, tmp_path, to: str, *, half: bool, classifier=None):
    if to == "onnx" and not ONNX:
        pytest.skip("needs the extra `onnx`: pip install 'tunewright[onnx]'")
    classifier = classifier or opened(run)
    file = tmp_path / f"model{export.SUFFIXES[to]}"
    export.write(classifier, file, to, run.read_config(), half=half)
    return classifier, file, export.read_back(classifier, file, to)


@pytest.mark.parametrize("to", FORMATS)
def test_the_file_answers_as_the_model_at_any_batch_size(run, tmp_path, to):
    classifier, _, answers = exported(run, tmp_path, to, half=False)
    for count in (1, 2, 8):
        images = export.sample(classifier, count)
        assert export.largest_difference(classifier, answers, images) <= export.PARITY
    assert export.accuracy(classifier, answers) == export.accuracy(classifier)


@pytest.mark.parametrize("to", FORMATS)
def test_half_is_nearly_the_model_and_is_scored(run, tmp_path, to):
    classifier, _, answers = exported(run, tmp_path, to, half=True)
    difference = export.largest_difference(classifier, answers, export.sample(classifier))
    assert 0.0 < difference < 0.1
    found = export.accuracy(classifier, answers)
    assert found == pytest.approx(export.accuracy(classifier), abs=0.08)


@pytest.mark.parametrize("to", FORMATS)
def test_a_classifier_by_angle_is_halved_too(run, tmp_path, to):
    """As `loss.type=ldam` has it; its cosines are computed in float32."""
    classifier = opened(run)
    normalise_classifier(classifier.model, len(classifier.classes), scale=8.0)
    _, _, answers = exported(run, tmp_path, to, half=True, classifier=classifier)
    difference = export.largest_difference(classifier, answers, export.sample(classifier))
    assert 0.0 < difference < 0.1


def test_the_header_says_how_to_use_the_weights(run, tmp_path):
    classifier, file, _ = exported(run, tmp_path, "safetensors", half=False)
    with safe_open(file, framework="pt") as opened_file:
        header = json.loads(opened_file.metadata()["tunewright"])
    assert header["classes"] == ["blue", "green", "red"]
    assert header["size"] == 16
    assert header["normalisation"] == {
        "mean": list(classifier.normalise.mean),
        "std": list(classifier.normalise.std),
    }
    assert header["model"] == run.read_config()["model"]
    assert header["recipe"] == "pictures"
    assert header["precision"] == "float32"


def test_safetensors_are_the_same_bytes_twice(run, tmp_path):
    contents = set()
    for _ in range(8):
        _, file, _ = exported(run, tmp_path, "safetensors", half=True)
        contents.add(file.read_bytes())
    assert len(contents) == 1


def test_half_is_half_the_bytes_of_the_weights(run, tmp_path):
    sizes = {}
    for half in (False, True):
        _, file, _ = exported(run, tmp_path, "safetensors", half=half)
        sizes[half] = sum(t.numel() * t.element_size() for t in load_file(file).values())
    counters = 8  # num_batches_tracked
    assert 2 * (sizes[True] - counters) == sizes[False] - counters


def test_what_float16_cannot_hold_stays_float32():
    state = {"large": torch.tensor([1.0, 1e6]), "small": torch.tensor([1.0]), "n": torch.tensor(3)}
    found, kept = export.to_half(state)
    assert kept == ["large"]
    assert found["large"].dtype == torch.float32
    assert found["small"].dtype == torch.float16
    assert found["n"].dtype == torch.int64


def test_a_file_that_is_not_the_model_is_refused(run, tmp_path):
    classifier, file, _ = exported(run, tmp_path, "safetensors", half=False)
    other = replace(classifier, model=torch.nn.Sequential(*classifier.model, torch.nn.Softmax(1)))
    difference = export.largest_difference(other, classifier.logits, export.sample(classifier))
    with pytest.raises(RunError, match="differ from the model"):
        export.check_parity(difference, file, half=False)
    export.check_parity(1e-5, file, half=False)
    export.check_parity(difference, file, half=True)
    with pytest.raises(RunError):
        export.check_parity(float("nan"), file, half=True)


def test_onnx_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"tunewright\[onnx\]"):
        export.need_onnx()
