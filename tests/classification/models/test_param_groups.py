"""Layers learn at their own rates, and wait frozen, without one being lost or moved."""

from typing import Any

import pytest
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from tunewright.classification.models.config import FineTuneConfig, ImageModelConfig
from tunewright.classification.models.image_classifier import head_modules, make_image_model
from tunewright.classification.models.param_groups import freeze, groups
from tunewright.config.schema import AdamWConfig
from tunewright.training.optim import make_optimizer
from tunewright.training.task import Clock

TIMM = ("test_convnext", "test_efficientnet", "test_vit", "test_resnet")
FUSED: dict[str, Any] = {"name": "test_efficientnet", "fusion": "global_concat"}
KINDS: tuple[dict[str, Any], ...] = (
    {},
    FUSED,
    *({"name": name, "fusion": "none"} for name in TIMM),
)


def made(**settings: Any) -> nn.Module:
    return make_image_model(ImageModelConfig(**settings), 5, image_size=64)


def names_of(model: nn.Module, wanted: list[nn.Parameter]) -> set[str]:
    ids = {id(parameter) for parameter in wanted}
    return {name for name, parameter in model.named_parameters() if id(parameter) in ids}


def rates(model: nn.Module, tuning: FineTuneConfig) -> dict[str, tuple[float, bool]]:
    """Scale and decay of every parameter, which must be in one group."""
    found: dict[str, tuple[float, bool]] = {}
    for group in groups(model, tuning):
        for name in names_of(model, list(group.parameters)):
            assert name not in found
            found[name] = (group.lr_scale, group.decays)
    return found


@pytest.mark.parametrize("name", TIMM)
def test_rates_are_those_of_timms_own_layer_decay(name: str) -> None:
    model = made(name=name, fusion="none")
    exempt = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()  # type: ignore[operator]
    expected = {
        name: (pytest.approx(group["lr_scale"]), group["weight_decay"] > 0)
        for group in param_groups_layer_decay(
            model, weight_decay=0.1, layer_decay=0.7, no_weight_decay_list=exempt
        )
        for name in names_of(model, group["params"])
    }
    assert rates(model, FineTuneConfig(layer_decay=0.7)) == expected


def test_colornet_decays_by_stages() -> None:
    found = rates(made(), FineTuneConfig(layer_decay=0.5, head_lr_scale=3.0))
    assert found["backbone.stem.0.weight"] == (0.5**5, True)
    for stage in range(4):
        scale = 0.5 ** (4 - stage)
        assert found[f"backbone.stages.{stage}.0.layers.0.weight"] == (scale, True)
        assert found[f"backbone.stages.{stage}.0.layers.1.weight"] == (scale, False)
    assert found["fusion.laterals.0.weight"] == (3.0, True)
    assert found["head.1.bias"] == (3.0, False)


def test_a_fused_backbone_decays_by_its_own_blocks() -> None:
    found = rates(made(**FUSED), FineTuneConfig(layer_decay=0.5))
    stem, head = found["backbone.model.conv_stem.weight"][0], found["head.1.weight"][0]
    blocks = [scale for name, (scale, _) in found.items() if ".blocks." in name]
    assert stem < min(blocks) < max(blocks) == 0.5
    assert head == 1.0


@pytest.mark.parametrize("settings", KINDS)
@pytest.mark.parametrize("decay", [None, 0.75])
def test_every_parameter_is_in_one_group_whatever_is_frozen(
    settings: dict[str, Any], decay: float | None
) -> None:
    model = made(**settings)
    tuning = FineTuneConfig(layer_decay=decay, freeze_epochs=2, head_lr_scale=2.0)
    before = rates(model, tuning)
    assert set(before) == {name for name, _ in model.named_parameters()}
    freeze(model, tuning, Clock(0, 0, 5, 10))
    assert rates(model, tuning) == before  # what waits is in its group, at its own rate


@pytest.mark.parametrize("settings", KINDS)
def test_what_somebody_else_froze_stays_frozen_and_moves_no_rate(settings: dict[str, Any]) -> None:
    """Scales count from the whole model's depth, also when its first layers do not train."""
    model = made(**settings)
    tuning = FineTuneConfig(layer_decay=0.5, freeze_epochs=1)
    before = rates(model, tuning)
    first = next(iter(model.parameters())).requires_grad_(False)
    name = names_of(model, [first]).pop()
    assert rates(model, tuning) == {n: rate for n, rate in before.items() if n != name}
    for epoch in (0, 1, 2):
        model.train()
        freeze(model, tuning, Clock(epoch, 0, 5, 10))
        assert not first.requires_grad
    assert rates(model, tuning) == {n: rate for n, rate in before.items() if n != name}


@pytest.mark.parametrize("settings", KINDS)
def test_only_the_head_moves_until_the_rest_is_set_free(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = made(**settings)
    for parameter in model.parameters():  # some begin at zero, and hold up the gradient
        nn.init.normal_(parameter, std=0.1)
    tuning = FineTuneConfig(layer_decay=0.9, freeze_epochs=1)
    optimizer = make_optimizer(AdamWConfig(lr=0.01, weight_decay=0.1), groups(model, tuning))
    head = names_of(model, [p for module in head_modules(model) for p in module.parameters()])
    heads = {id(m) for module in head_modules(model) for m in module.modules()}
    norms = {
        f"{name}.{buffer}"
        for name, module in model.named_modules()
        if id(module) in heads
        for buffer, _ in module.named_buffers(recurse=False)
    }
    moved = []
    for epoch in (0, 1):
        model.train()
        freeze(model, tuning, Clock(epoch, epoch, 2, 1))
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model(torch.randn(4, 3, 64, 64)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        after = model.state_dict()
        moved.append({name for name in before if not torch.equal(before[name], after[name])})
    assert moved[0] == head | norms
    assert moved[1] == set(model.state_dict())


def test_freezing_is_a_function_of_the_clock() -> None:
    """A run that resumes in the third epoch finds what one that began at the first has."""
    tuning = FineTuneConfig(freeze_epochs=2)
    whole, resumed = made(), made()
    for epoch in range(4):
        whole.train()
        freeze(whole, tuning, Clock(epoch, 0, 5, 10))
        if epoch >= 1:
            resumed.train()
            freeze(resumed, tuning, Clock(epoch, 0, 5, 10))
            for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
                assert one.requires_grad == other.requires_grad
            for one, other in zip(whole.modules(), resumed.modules(), strict=True):
                assert one.training == other.training
    assert all(parameter.requires_grad for parameter in whole.parameters())


def test_without_a_wish_all_learn_alike() -> None:
    made_groups = groups(made(), FineTuneConfig())
    assert {group.lr_scale for group in made_groups} == {1.0}
    assert len(made_groups) == 4
