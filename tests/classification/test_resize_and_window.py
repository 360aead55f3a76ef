"""One way of reading pictures, from the training to the prediction."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tunewright
from tunewright.deliver.classification.open_members import open_members
from tunewright.deliver.select_runs import resolve_runs
from tunewright.errors import ConfigError, DataError
from tunewright.images.loading.square import as_uint8
from tunewright.recipes.longtail.setup import open_classifier
from tunewright.runs.folder import RunFolder

WORDS = (
    "model.name=test_resnet",
    "model.fusion=none",
    "data.image_size=16",
    "augmentation=none",
    "training.epochs=1",
    "training.batch_size=8",
    "executor.type=inline",
    "executor.threads=1",
)
WINDOW = (100, 4195)


def write_set(place: Path, deep: bool = True) -> Path:
    """Write wide pictures of two classes: one has its bright end left, the other right."""
    draws = np.random.default_rng(0)
    for label in ("left", "right"):
        (place / label).mkdir(parents=True)
        for number in range(12):
            ramp = np.linspace(0.0, 1.0, 30)[:: 1 if label == "right" else -1]
            share = (ramp + draws.normal(0.0, 0.05, (18, 30))).clip(0.0, 1.0)
            pixels = 100 + share * 4095 if deep else share * 255
            picture = Image.fromarray(pixels.astype(np.uint16 if deep else np.uint8))
            picture.save(place / label / f"{label}{number}.png")
    return place


def by_hand(file: Path, resize: str) -> torch.Tensor:
    """Read a 16-bit picture without any of our own decoding."""
    share = (np.asarray(Image.open(file)).astype(float) - WINDOW[0]) / (WINDOW[1] - WINDOW[0])
    grey = Image.fromarray(np.rint(255 * share.clip(0, 1)).astype(np.uint8)).convert("RGB")
    return torch.from_numpy(as_uint8(grey, 16, resize))[None]


@pytest.mark.parametrize(("resize", "store"), [("crop", "memory"), ("letterbox", "stream")])
def test_what_was_trained_on_is_what_is_predicted(resize, store, tmp_path):
    data = write_set(tmp_path / "data")
    words = (*WORDS, f"data.resize={resize}", f"data.window=[{WINDOW[0]},{WINDOW[1]}]")
    words = (*words, f"data.store={store}", "data.workers=0")
    run = tunewright.train("longtail", f"data.dir={data}", *words, runs_dir=tmp_path / "runs")
    (folder,) = run.folders
    shares = tmp_path / "shares.csv"
    found = tunewright.predict(
        folder.path, data=data / "left", output=tmp_path / "said.csv", probabilities=shares
    )
    assert found.predictions == 12
    classifier = open_classifier(RunFolder(folder.path), torch.device("cpu"))
    rows = [line.split(",") for line in shares.read_text().splitlines()[1:]]
    for name, left, _ in rows[:3]:
        expected = classifier.logits(by_hand(data / "left" / name, resize)).softmax(1)[0, 0]
        assert float(left) == pytest.approx(float(expected), abs=1e-5)
    assert tunewright.evaluate(folder.path, split="valid")


def test_without_a_window_the_key_is_named(tmp_path):
    data = write_set(tmp_path / "data")
    with pytest.raises(DataError, match=r"I;16 pixels.*data\.window"):
        tunewright.train("longtail", f"data.dir={data}", *WORDS, runs_dir=tmp_path / "runs")


@pytest.mark.parametrize("window", ["[4095,0]", "[5,5]", "[1,2,3]", "wide"])
def test_a_window_that_is_none_is_refused(window, tmp_path):
    with pytest.raises(ConfigError, match=r"data\.window"):
        tunewright.train("longtail", f"data.window={window}", *WORDS, runs_dir=tmp_path / "runs")


def test_members_with_other_windows_are_not_averaged(tmp_path):
    data = write_set(tmp_path / "data", deep=False)
    for name, high in (("a", 255), ("b", 200)):
        tunewright.train(
            "longtail",
            f"data.dir={data}",
            f"data.window=[0,{high}]",
            *WORDS,
            name=name,
            runs_dir=tmp_path / "runs",
        )
    ensemble = tmp_path / "runs" / "both"
    ensemble.mkdir()
    (ensemble / "ensemble.json").write_text(
        '{"runs": ["../a", "../b"], "weights": [0.5, 0.5], "average": "probabilities"}'
    )
    with pytest.raises(DataError, match=r"data\.window = \(0\.0, 255\.0\).*\(0\.0, 200\.0\)"):
        open_members(resolve_runs(ensemble, runs=tmp_path / "runs"))
