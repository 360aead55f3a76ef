"""What `evaluate` writes, and where."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tunewright
from tunewright.analysis.score_intervals import wilson
from tunewright.errors import ConfigError
from tunewright.recipes.pairs.data.pair_files import save_pairs
from tunewright.recipes.pairs.evaluation import ridge_notes
from tunewright.runs.ending import Ending


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    trained = tunewright.train(
        "pairs", "training.epochs=1", "executor.type=inline", runs_dir=runs, name="one"
    )
    return trained.folders[0].path


def test_another_split_leaves_the_figures_of_the_test_set_alone(run: Path) -> None:
    test = tunewright.evaluate(run).figures
    before = (run / "evaluation.json").read_bytes()
    valid = tunewright.evaluate(run, split="valid").figures
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
    result = tunewright.evaluate(trained.folders[0].path).figures
    assert result["recall_1_interval"] == expected
    assert result["interval_methods"] == {"recall_1": "wilson", "recall_10": "wilson"}
    low, high = result["recall_1_above_ridge_interval"]
    assert low < 0 < high
    assert any("interval of recall_1, recall_10 is Wilson's" in note for note in result["notes"])


def saved(folder: Path, noise: float, spell, kinds: int = 12) -> Path:
    """Three sets whose texts and images repeat, with embeddings that differ by `noise`."""
    base = np.random.default_rng(0).normal(size=(kinds, 8))
    turn = np.random.default_rng(1).normal(size=(8, 8))
    for name, rows, seed in (("train", 60, 1), ("val", 40, 2), ("test", 50, 3)):
        rng = np.random.default_rng(seed)
        kind = np.minimum(rng.integers(0, kinds, rows), rng.integers(0, kinds, rows))
        image = rng.integers(0, rows * 2 // 3, rows)  # several captions an image
        kind = kind[image]
        pictures = (base @ turn)[kind] + 0.8 * rng.normal(size=(99, 8))[image]
        rounding = [1 + noise * rng.normal(size=(rows, 8)) for _ in range(2)]
        metadata = {"image_ids": [f"{name} {i}" for i in image]}
        if spell is not None:
            metadata["texts"] = [spell(k, row) for row, k in enumerate(kind)]
        save_pairs(
            folder,
            name,
            (pictures * rounding[0]).astype(np.float32),
            (base[kind] * rounding[1]).astype(np.float32),
            metadata,
        )
    return folder


def evaluated(folder: Path, *words: str):
    trained = tunewright.train(
        "pairs",
        f"data.dir={folder}",
        "training.epochs=1",
        "training.batch_size=16",
        "model.output_dim=8",
        "executor.type=inline",
        *words,
        runs_dir=folder / "runs",
    )
    return tunewright.evaluate(trained.folders[0].path).figures


SPELLINGS = {
    "as it is": lambda kind, row: f"Text {kind}",
    "case and spaces": lambda kind, row: [f"text  {kind}", f" TEXT {kind}\t"][row % 2],
    "no texts": None,
    "some texts": lambda kind, row: f"text {kind}" if kind % 2 else "",
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_the_last_bits_of_texts_and_images_change_nothing(tmp_path: Path, spell) -> None:
    plain = evaluated(saved(tmp_path / "plain", 0.0, SPELLINGS["as it is"]))
    noisy = evaluated(saved(tmp_path / "noisy", 1e-6, spell))
    for name in ("i2t_gallery", "t2i_gallery"):
        assert noisy["metrics"][name] == plain["metrics"][name] < plain["pairs"]
    for baseline, scores in plain["baselines"].items():
        found = noisy["baselines"][baseline]
        assert {k: found[k] for k in scores if k.endswith("_r1")} == pytest.approx(
            {k: v for k, v in scores.items() if k.endswith("_r1")}
        )


def test_both_averages_stand_where_texts_or_images_repeat(tmp_path: Path) -> None:
    result = evaluated(saved(tmp_path, 0.0, SPELLINGS["as it is"]))
    metrics, notes = result["metrics"], " ".join(result["notes"])
    for scores in (metrics, *result["baselines"].values()):
        assert {"t2i_by_text_r1", "i2t_by_row_r1"} < set(scores)
    texts = int(metrics["i2t_gallery"])
    assert f"{texts} distinct texts on 50 caption rows, by their captions" in notes
    assert f"text-to-image R@1 is {metrics['t2i_r1']:.4f} over the 50 caption rows" in notes
    assert f"{metrics['t2i_by_text_r1']:.4f} over the {texts} distinct texts" in notes


def test_another_gallery_than_the_validation_sets_is_said(tmp_path: Path, run: Path) -> None:
    result = evaluated(saved(tmp_path, 0.0, SPELLINGS["as it is"]))
    [note] = [note for note in result["notes"] if "different sizes" in note]
    images, texts = (int(result["metrics"][f"{way}_gallery"]) for way in ("t2i", "i2t"))
    assert f"among {images} images and {texts} texts, in the validation set among" in note
    digits = tunewright.evaluate(run).figures  # 359 and 360 pairs
    assert not [note for note in digits["notes"] if "different sizes" in note]


def test_texts_that_share_an_embedding_are_no_one_text(tmp_path: Path) -> None:
    """An encoder that maps all texts to one point finds nothing, and that is said."""
    saved(tmp_path, 0.0, lambda kind, row: f"text {row}")
    result = evaluated(tmp_path)
    assert result["metrics"]["i2t_gallery"] == result["pairs"] == 50
    assert any("have the same embedding as another text" in note for note in result["notes"])


def test_the_digits_have_one_average(run: Path) -> None:
    result = tunewright.evaluate(run).figures
    assert not [name for name in result["metrics"] if "_by_" in name]


def test_the_advice_beside_ridge_fits_how_the_training_ended() -> None:
    result = {
        "metrics": {"recall_1": 0.2},
        "baselines": {"ridge": {"recall_1": 0.4}},
        "recall_1_above_ridge_interval": [-0.3, -0.1],
        "interval_methods": {},
    }
    patient = Ending("done", epochs=12, planned=50, best=7, patience=5)
    [said] = ridge_notes(result, patient)
    assert "stopped by patience after epoch 12 of 50; best epoch 7" in said
    assert "train longer" not in said
    [said] = ridge_notes(result, replace(patient, epochs=50, patience=None, best=50))
    assert "train longer" in said
    [said] = ridge_notes(result, replace(patient, epochs=50, best=9))
    assert "train longer" not in said
    assert "best epoch 9 of 50" in said
