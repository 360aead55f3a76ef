"""What an evaluation of a classifier says, against scikit-learn and against itself."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from practice.pictures.drawn import draw_set
from practice.pictures.made import made_run, opened
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

from tunewright.classification.evaluation.evaluation import evaluate
from tunewright.classification.inference.cached_logits import validation_labels, validation_logits
from tunewright.errors import ConfigError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    place = tmp_path_factory.mktemp("evaluation")
    draw_set(place / "data")
    return made_run(place / "run", place / "data", steps=10, test_split=0.25)


@pytest.fixture(scope="module")
def result(run):
    return evaluate(opened(run), run)


def test_the_test_split_is_the_default_and_has_its_files(run, result):
    assert result["split"] == "test"
    assert result["files"] == [
        "evaluation.json",
        "confusion.html",
        "reliability.html",
        "classes.html",
        "curves.html",
        "mistakes.png",
    ]
    assert all((run.path / name).stat().st_size for name in result["files"])
    stored = json.loads((run.path / "evaluation.json").read_text())
    assert stored == result
    page = (run.path / "confusion.html").read_text()
    assert '"green"' in page
    assert "<script src=" not in page


def test_scores_are_scikit_learns(run):
    result = evaluate(opened(run), run, "val")
    assert result["split"] == "valid"
    classifier = opened(run)
    labels = validation_labels(classifier).numpy()
    said = validation_logits(classifier)[0].argmax(1).numpy()
    assert result["confusion"] == confusion_matrix(labels, said, labels=[0, 1, 2]).tolist()
    assert result["metrics"]["macro_f1"] == pytest.approx(f1_score(labels, said, average="macro"))
    assert result["metrics"]["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(labels, said)
    )


def test_another_split_leaves_the_figures_of_the_test_set_alone(run, result):
    before = (run.path / "evaluation.json").read_bytes()
    found = evaluate(opened(run), run, "train")
    assert (run.path / "evaluation.json").read_bytes() == before
    assert "evaluation-train.json" in found["files"]
    assert "mistakes-train.png" in found["files"] or found["metrics"]["accuracy"] == 1.0


def test_intervals_hold_the_scores(result):
    for name in ("accuracy", "macro_f1", "balanced_accuracy"):
        low, high = result[f"{name}_interval"]
        assert low <= result["metrics"][name] <= high


def test_classes_have_their_numbers_and_intervals(result):
    rows = result["per_class"]
    assert [row["class"] for row in rows] == ["blue", "green", "red"]
    assert sum(row["pictures"] for row in rows) == result["images"]
    for row in rows:
        low, high = row["recall_interval"]
        assert low <= row["recall"] <= high


def test_baselines_stand_beside_it(result):
    majority = result["baselines"]["most frequent class"]
    share = max(row["pictures"] for row in result["per_class"]) / result["images"]
    assert majority["accuracy"] == pytest.approx(share)
    assert 1 / 3 < result["baselines"]["PCA + logistic regression"]["accuracy"] <= 1
    assert "ece" not in majority
    above = result["above_baselines"]["most frequent class"]["accuracy"]
    assert above["low"] <= above["value"] <= above["high"]


def test_the_temperature_comes_from_the_validation_set(run, result):
    from tunewright.classification.metrics.calibration import temperature

    classifier = opened(run)
    expected = temperature(validation_logits(classifier)[0], validation_labels(classifier))
    assert result["calibration"]["temperature"] == pytest.approx(expected)
    assert result["calibration"]["fitted_on"] == "valid"
    on_valid = evaluate(classifier, run, "valid")["calibration"]
    assert on_valid["after"]["loss"] <= on_valid["before"]["loss"] + 1e-9
    assert "optimistic" in on_valid["fitted_on"]


def test_logit_adjustment_stands_beside_the_plain_scores(run, result):
    assert result["logit_adjusted"]["tau"] == 1.0
    assert "balanced_accuracy" in result["logit_adjusted"]["above_plain"]
    none = evaluate(opened(run), run, logit_adjustment=0.0)["logit_adjusted"]
    assert none["metrics"] == pytest.approx(result["metrics"])


@pytest.fixture(scope="module")
def rare(tmp_path_factory: pytest.TempPathFactory):
    """A run on a set with a frequent and two rare classes."""
    place = tmp_path_factory.mktemp("frequencies")
    draw_set(place / "data", (150, 30, 30))
    return made_run(place / "run", place / "data", steps=10, test_split=0.3)


def test_sets_with_other_class_frequencies_are_told_apart(rare):
    classifier = opened(rare)
    alike = evaluate(classifier, rare)
    assert not alike["class_frequencies"]["differs"]
    assert not [note for note in alike["notes"] if "not as frequent" in note]

    test = classifier.sets.test
    rows = np.concatenate([np.flatnonzero(test.labels == label)[:8] for label in range(3)])
    classifier.__dict__["sets"] = replace(classifier.sets, test=test.take(np.sort(rows)))
    result = evaluate(classifier, rare)
    shift = result["class_frequencies"]
    assert shift["differs"]
    assert shift["distance"] == pytest.approx(150 / 210 - 1 / 3, abs=0.05)
    held = validation_logits(classifier)[0].argmax(1) == validation_labels(classifier)
    assert shift["accuracy"] == pytest.approx(
        [result["metrics"]["accuracy"], float(held.double().mean())]
    )
    shares = np.bincount(validation_labels(classifier).numpy(), minlength=3)
    recalls = [row["recall"] for row in result["per_class"]]
    weighted = np.average(recalls, weights=shares)
    assert shift["accuracy_at_valid_frequencies"] == pytest.approx(weighted)
    [note] = [note for note in result["notes"] if "not as frequent" in note]
    assert f"{weighted:.4f} at the frequencies of the validation set" in note
    assert "class_frequencies" not in evaluate(classifier, rare, "valid")


def test_a_split_that_is_none_is_a_slip(run):
    with pytest.raises(ConfigError, match=r"split 'tset'.*train, valid, test"):
        evaluate(opened(run), run, "tset")


def test_a_model_that_is_never_wrong_has_no_picture_of_mistakes(tmp_path: Path):
    draw_set(tmp_path / "data", (16, 16), sides=True)
    run = made_run(tmp_path / "run", tmp_path / "data", steps=30)
    result = evaluate(opened(run), run)
    assert result["metrics"]["accuracy"] == 1.0
    assert "mistakes.png" not in result["files"]
    assert result["split"] == "valid"  # there is no test set
    assert torch.tensor(result["confusion"]).diagonal().sum() == result["images"]
