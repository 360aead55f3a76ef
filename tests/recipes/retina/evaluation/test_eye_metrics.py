"""Figures of a pass: by scikit-learn's values, whatever the batches, and with absent classes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tunewright.errors import ConfigError
from tunewright.recipes.retina.config import TEMPLATES, ZeroShotConfig
from tunewright.recipes.retina.evaluation.eye_metrics import (
    EyeMetrics,
    ScoredPatients,
    bootstrap_by_patient,
    classification_scores,
    patient_draws,
    quadratic_kappa,
)
from tunewright.recipes.retina.evaluation.ranking_scores import auroc, average_precision
from tunewright.recipes.retina.evaluation.zero_shot_prompts import class_sentences

ORACLE = json.loads((Path(__file__).parents[3] / "oracles/retina.json").read_text())


def test_scikit_learn_agrees() -> None:
    positive, scores = np.array(ORACLE["positive"]), np.array(ORACLE["scores"])
    assert auroc(positive, scores) == pytest.approx(ORACLE["auroc"], rel=1e-12)
    assert average_precision(positive, scores) == pytest.approx(ORACLE["aupr"], rel=1e-12)
    confusion = np.zeros((5, 5), dtype=np.int64)
    np.add.at(confusion, (ORACLE["grades"], ORACLE["said"]), 1)
    assert quadratic_kappa(confusion) == pytest.approx(ORACLE["kappa"], rel=1e-12)


def arrays(rows: int = 30, seed: int = 0) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    images, texts = torch.nn.functional.normalize(torch.randn(2, rows, 8, generator=draw), dim=2)
    labels = torch.nn.functional.one_hot(torch.arange(rows) % 3, 4)
    return {
        "images": images,
        "texts": texts,
        "groups": torch.arange(rows) // 2,
        "seen": torch.ones(rows, dtype=torch.bool),
        "rows": torch.arange(rows),
        "patients": torch.arange(rows) // 2,
        "labels": labels,
        "scores": torch.randn(rows, 4, generator=draw) + labels,
    }


def figures(cuts: list[Tensor], columns: dict[str, Tensor]) -> dict[str, float]:
    metrics = EyeMetrics(single=True)
    for rows in cuts:
        metrics.update({name: value[rows] for name, value in columns.items()})
    found = metrics.compute()
    return found | {f"{name}_low": low for name, (low, _) in metrics.intervals().items()}


def test_no_figure_depends_on_order_or_batches() -> None:
    columns = arrays()
    columns["texts"] = columns["texts"][columns["groups"] * 2]  # equal texts, equal vectors
    whole = figures([torch.arange(30)], columns)
    shuffled = torch.randperm(30, generator=torch.Generator().manual_seed(3))
    assert figures(list(shuffled.split(7)), columns) == pytest.approx(whole, abs=1e-6)


def test_an_absent_class_is_left_out_of_the_means() -> None:
    found = figures([torch.arange(30)], arrays())  # the fourth class has no patient
    columns = arrays()
    columns["labels"], columns["scores"] = columns["labels"][:, :3], columns["scores"][:, :3]
    assert found["mean_auroc"] == pytest.approx(figures([torch.arange(30)], columns)["mean_auroc"])
    assert all(value == value for value in found.values())


def test_rows_without_a_text_or_a_picture_stay_out_of_retrieval() -> None:
    columns = arrays()
    columns["groups"][:4] = -1
    columns["seen"][4:6] = False
    metrics = EyeMetrics(single=True)
    metrics.update(columns)
    assert metrics.compute()["t2i_gallery"] == 24
    patients = metrics.scored()
    assert patients is not None
    assert len(patients.labels) == 28


def test_visits_of_a_patient_are_drawn_together() -> None:
    patients = np.array([5, 7, 5, 9])
    for rows in patient_draws(patients, 20):
        counts = np.bincount(rows, minlength=4)
        assert counts[0] == counts[2]


def test_an_interval_contains_its_score() -> None:
    rng = np.random.default_rng(1)
    labels = np.eye(3, dtype=np.int64)[rng.integers(0, 3, 60)]
    patients = ScoredPatients(labels, rng.random((60, 3)) + labels * 0.6, np.arange(60), True)
    scores = classification_scores(patients)
    for name, (low, high) in bootstrap_by_patient(patients, resamples=200).items():
        assert low <= scores[name] <= high
        assert low < high


def test_several_labels_have_no_accuracy() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, (40, 3))
    found = classification_scores(ScoredPatients(labels, rng.random((40, 3)), np.arange(40), False))
    assert found.keys() == {"mean_auroc", "mean_aupr"}


def test_prompts_are_bound_by_name() -> None:
    prompts = {"b": ("one",), "glaucoma": ("two", "three")}
    section = ZeroShotConfig(prompts=prompts)
    assert class_sentences(section, ("a", "b"), {"a": "glaucoma"}) == [["two", "three"], ["one"]]
    turned = ZeroShotConfig(prompts=dict(reversed(prompts.items())))
    assert class_sentences(turned, ("a", "b"), {"a": "glaucoma"}) == [["two", "three"], ["one"]]
    with pytest.raises(ConfigError, match="describes glaucoma"):
        class_sentences(section, ("a", "b"), {})
    with pytest.raises(ConfigError, match="no sentence for c"):
        class_sentences(section, ("a", "b", "c"), {"a": "glaucoma"})


def test_templates_name_the_class() -> None:
    (found,) = class_sentences(ZeroShotConfig(), ("macular_hole",), {})
    assert found == [template.format("macular hole") for template in TEMPLATES]
