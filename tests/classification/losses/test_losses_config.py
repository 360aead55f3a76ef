from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import BaseModel, TypeAdapter, ValidationError

from tunewright.classification.losses.class_weights import sampled_weights
from tunewright.classification.losses.config import (
    OF_SEVERAL_LABELS,
    BalancedSoftmaxConfig,
    ClassBalancedConfig,
    CrossEntropyConfig,
    FocalConfig,
    LdamConfig,
    LogitAdjustmentConfig,
    Loss,
    LossSection,
    SmoothModulationConfig,
    classifier_scale,
    final_weights,
    inert_settings,
    loss_notices,
)
from tunewright.classification.losses.losses import LOSSES
from tunewright.classification.losses.multi_label import LOSSES as LABEL_LOSSES
from tunewright.config.apply import with_values
from tunewright.config.check import validate
from tunewright.config.section import Section
from tunewright.errors import ConfigError

KINDS: dict[str, type[Section]] = {
    kind.model_fields["type"].default: kind for kind in get_args(LossSection)
}
COUNTS = np.array([5000, 500, 50])
CLASSES = ("airplane", "cat", "truck")


class Whole(BaseModel):
    loss: Loss = SmoothModulationConfig()


def notices(section, *, weighted_sampler=False, counts=COUNTS):
    return loss_notices(section, counts, CLASSES, weighted_sampler=weighted_sampler)


def test_sections_are_the_signatures_of_the_losses():
    assert set(KINDS) == {*LOSSES, *LABEL_LOSSES}
    assert {kind.model_fields["type"].default for kind in OF_SEVERAL_LABELS} == {*LABEL_LOSSES}
    for name, kind in KINDS.items():
        defaults = {key: field.default for key, field in kind.model_fields.items() if key != "type"}
        registry = LABEL_LOSSES if name in LABEL_LOSSES else LOSSES
        assert defaults == dict(registry.options(name)), name


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (None, None),
        ("from_counts", "from_counts"),
        (0.25, 0.25),
        (1, 1.0),
        ([0.1, 1, 0.5], (0.1, 1.0, 0.5)),
    ],
)
def test_alpha_can_be_written_in_four_ways(written, kept):
    config = validate({"loss": {"type": "focal", "alpha": written}}, Whole)
    assert config.loss == FocalConfig(alpha=kept)
    assert validate(config.model_dump(mode="json"), Whole) == config


@pytest.mark.parametrize("written", [True, "auto", [], [1, "a"], -1, 0, [0.5, 0.0], float("nan")])
def test_another_alpha_is_refused_with_what_is_possible(written):
    with pytest.raises(ConfigError, match="null, from_counts, a positive number, or a list"):
        validate({"loss": {"type": "focal", "alpha": written}}, Whole)


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "focal", "gamma": -1.0},
        {"type": "class_balanced", "beta": 1.0},
        {"type": "cross_entropy", "label_smoothing": 1.0},
        {"type": "smooth_modulation", "modulation_type": "sine"},
        {"type": "smooth_modulation", "gamma": 2.0},
        {"type": "ldam", "scale": 0.0},
        {"type": "hinge"},
    ],
)
def test_what_no_loss_could_use_is_refused(wrong):
    with pytest.raises(ValidationError):
        TypeAdapter(Loss).validate_python(wrong)


def test_another_loss_keeps_none_of_the_settings_it_does_not_have():
    tree = Whole(loss=FocalConfig(gamma=1.5)).model_dump(mode="json")
    _, config = with_values(tree, {"loss.type": "ldam"}, Whole)
    assert config.loss == LdamConfig()


def test_only_margins_on_angles_ask_for_a_cosine_classifier():
    assert classifier_scale(LdamConfig(scale=20.0)) == 20
    assert [classifier_scale(kind()) for name, kind in KINDS.items() if name != "ldam"] == [
        None
    ] * 8


# What is said


def test_settings_that_do_nothing():
    assert inert_settings(FocalConfig(alpha=0.25)) == ["alpha"]
    assert inert_settings(FocalConfig(alpha=(0.1, 1.0))) == []
    assert inert_settings(FocalConfig(alpha="from_counts")) == []
    assert inert_settings(FocalConfig()) == []
    assert inert_settings(SmoothModulationConfig(tau=0.0)) == ["modulation_type"]
    assert inert_settings(LdamConfig(drw_fraction=1.0)) == ["drw_beta"]
    assert [inert_settings(kind()) for kind in KINDS.values()] == [[]] * len(KINDS)


def test_one_alpha_for_all_is_reported():
    (said,) = notices(FocalConfig(alpha=0.25))
    assert said.startswith("loss.alpha=0.25 has no effect")
    assert "from_counts" in said


def test_a_gamma_that_starves_gradients_is_reported():
    assert notices(FocalConfig(gamma=3.0)) == []
    (said,) = notices(FocalConfig(gamma=5.0))
    assert "loss.gamma=5 leaves little gradient" in said
    assert "0.0024 of its loss" in said


def test_defaults_are_not_worth_a_word():
    assert [notices(kind()) for kind in KINDS.values()] == [[]] * len(KINDS)


def test_a_sampler_and_weights_are_reported_with_what_a_class_counts():
    (said,) = notices(SmoothModulationConfig(), weighted_sampler=True)
    assert "class 'truck' counts 10 times as much as 'airplane'" in said
    assert "one image of it 1,000 times as much" in said
    assert "(50 and 5000 images)" in said
    assert "where the mean over classes is 1: airplane 0.0029, cat 0.092, truck 2.9" in said
    assert notices(CrossEntropyConfig(), weighted_sampler=True) == []
    assert notices(FocalConfig(), weighted_sampler=True) == []
    assert (
        notices(SmoothModulationConfig(tau=0.0), weighted_sampler=True) != []
    )  # inert, not double
    equal = np.array([7, 7, 0])
    assert notices(SmoothModulationConfig(), weighted_sampler=True, counts=equal) == []
    assert notices(SmoothModulationConfig(), weighted_sampler=True, counts=np.zeros(3, int)) == []


@pytest.mark.parametrize(
    "section",
    [
        SmoothModulationConfig(tau=0.7),
        FocalConfig(alpha="from_counts"),
        FocalConfig(alpha=(0.1, 0.5, 3.0)),
        ClassBalancedConfig(beta=0.99),
        BalancedSoftmaxConfig(),
        LogitAdjustmentConfig(tau=0.5),
        LdamConfig(),
        LdamConfig(drw_fraction=1.0),
        *(kind() for kind in KINDS.values()),
    ],
    ids=str,
)
def test_final_weights_are_those_of_the_loss_at_its_end(section):
    for counts in (COUNTS, np.array([3, 0, 7])):
        registry = LABEL_LOSSES if section.type in LABEL_LOSSES else LOSSES
        options = {k: getattr(section, k) for k in registry.options(section.type)}
        loss = registry[section.type](torch.tensor(counts, dtype=torch.float64), **options)
        loss.at(1000, 1000)
        assert final_weights(section, counts) == pytest.approx(loss.weights().numpy(), rel=1e-12)


def test_sampled_weights_are_what_one_image_counts():
    weights = np.array([0.5, 1.0, 1.5])
    counts = np.array([30, 10, 5])
    sampled = sampled_weights(weights, counts)
    assert sampled.mean() == pytest.approx(1)
    assert sampled[2] / sampled[0] == pytest.approx(1.5 / 0.5 * 30 / 5)
    # As drawn: rows by the sampler, each with the weight of its class.
    rows = np.repeat(np.arange(3), counts)
    chance = (1 / counts)[rows] / (1 / counts)[rows].sum()
    share = chance * weights[rows]
    assert share[-1] / share[0] == pytest.approx(sampled[2] / sampled[0])


def test_sampled_weights_of_classes_without_images():
    found = sampled_weights(np.ones(3), np.array([4, 0, 2]))
    assert np.isfinite(found).all()
    assert found[1] == 0
    assert found[[0, 2]].mean() == pytest.approx(1)
    assert sampled_weights(np.ones(2), np.zeros(2, int)).tolist() == [0, 0]


def test_an_inert_alpha_is_told_with_its_value_and_what_to_set() -> None:
    counts = np.array([30, 3])
    [notice] = loss_notices(
        FocalConfig(alpha=0.25, gamma=2.0), counts, ["a", "b"], weighted_sampler=False
    )
    assert notice == (
        "loss.alpha=0.25 has no effect: one number for all classes only scales the loss, which "
        "AdamW cancels; give a list with one number per class, or loss.alpha=from_counts"
    )
    for alpha in ((0.1, 1.0), "from_counts"):
        said = loss_notices(FocalConfig(alpha=alpha), counts, ["a", "b"], weighted_sampler=False)
        assert not any("has no effect" in text for text in said)
