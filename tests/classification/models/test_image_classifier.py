"""Any backbone with any fusion: exact counts, gradients everywhere, and clear refusals."""

from typing import Any

import pytest
import torch
from torch import nn

from tunewright.classification.models.config import (
    FLOWER_MODELS,
    OPTIMIZED_MODELS,
    ImageModelConfig,
    check_model,
)
from tunewright.classification.models.image_classifier import (
    ImageClassifier,
    head_names,
    input_size,
    make_image_model,
)
from tunewright.errors import ConfigError

EXACT = {
    "convnext_tiny": 27_897_028,
    "convnext_base": 87_668_964,
    "convnext_large": 196_384_036,
    "efficientnet_b3": 10_849_932,
    "efficientnet_v2_l": 117_362_372,
    "swin_v2_base": 86_996_316,
}
TINY = {"name": "test_efficientnet", "input_size": 64}


def made(classes: int = 5, **settings: Any) -> nn.Module:
    return make_image_model(ImageModelConfig(**settings), classes, image_size=64)


def weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", EXACT)
def test_the_models_of_the_flowers_have_their_exact_counts(name: str) -> None:
    section = FLOWER_MODELS[name].model_copy(update={"pretrained": False})
    with torch.device("meta"):
        assert weights(make_image_model(section, 100)) == EXACT[name]


def test_optimised_ones_are_the_same_networks_with_more_dropped() -> None:
    large = OPTIMIZED_MODELS["efficientnet_v2_l_optimized"]
    assert (large.drop_path_rate, large.dropout) == (0.25, 0.3)
    with torch.device("meta"):
        model = make_image_model(large.model_copy(update={"pretrained": False}), 100)
    assert weights(model) == EXACT["efficientnet_v2_l"]
    assert all(section.pretrained for section in [*FLOWER_MODELS.values(), large])


@pytest.mark.parametrize("fusion", ["msff", "global_concat", "simple_concat", "none"])
def test_gradients_reach_every_weight_of_a_timm_model(fusion: str) -> None:
    model = made(fusion=fusion, **TINY)
    logits = model(torch.randn(2, 3, 64, 64))
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    "name",
    ["resnet18", "efficientnet_b0", "mobilenetv4_conv_small", "fastvit_t8", "convnext_tiny"],
)
def test_usual_backbones_have_four_levels(name: str) -> None:
    with torch.device("meta"):
        model = made(name=name)
        model.eval()
        levels = model.backbone(torch.empty(1, 3, 64, 64))  # type: ignore[operator]
    assert [64 // level.shape[-1] for level in levels] == [4, 8, 16, 32]


def test_levels_of_a_swin_come_with_their_channels_first() -> None:
    with torch.device("meta"):
        model = made(name="swinv2_cr_tiny_ns_224", fusion="global_concat", input_size=224).eval()
        levels = model.backbone(torch.empty(1, 3, 224, 224))  # type: ignore[operator]
    assert [level.shape[1] for level in levels] == [96, 192, 384, 768]
    assert model.fusion.width == 192 + 384 + 768


def test_a_backbone_without_four_levels_is_refused_with_the_remedy() -> None:
    with pytest.raises(
        ConfigError, match=r"levels at strides 4, 8, 16 and 32, not 16.*fusion=none"
    ):
        made(name="vit_tiny_patch16_224")


def test_a_vision_transformer_is_built_for_the_size_of_the_pictures() -> None:
    model = made(name="test_vit", fusion="none")
    assert model(torch.randn(1, 3, 64, 64)).shape == (1, 5)
    with torch.device("meta"), pytest.raises(ConfigError, match="pictures of 100 x 100"):
        made(name="xcit_nano_12_p16_224", fusion="none", input_size=100)


def test_a_swin_takes_one_size_and_no_other() -> None:
    section = FLOWER_MODELS["swin_v2_base"]
    assert input_size(section, 600) == 256
    assert input_size(section.model_copy(update={"input_size": None}), 600) == 256
    with pytest.raises(ConfigError, match=r"input_size = 384.*256"):
        input_size(section.model_copy(update={"input_size": 384}), 600)
    assert input_size(ImageModelConfig(), 96) == 96
    assert input_size(ImageModelConfig(name="resnet18", input_size=128), 96) == 128


def test_rates_reach_the_model() -> None:
    model = made(fusion="none", dropout=0.25, drop_path_rate=0.5, **TINY)
    rates = [m.drop_prob for m in model.modules() if type(m).__name__ == "DropPath"]
    assert rates
    assert max(rates) <= 0.5
    assert model.drop_rate == 0.25
    fused = made(dropout=0.25, **TINY)
    assert fused.head[0].p == 0.25  # type: ignore[index,union-attr]
    assert made().head[0].p == 0.0  # type: ignore[index,union-attr]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fusion": "none"}, "fusion = none with model.name = colornet_v1"),
        ({"drop_path_rate": 0.1}, "ColorNet-V1 has no stochastic depth"),
        ({"pretrained": True}, "no published weights of ColorNet-V1"),
        ({"sha256": "0" * 64}, "sha256 without model.weights"),
        ({"name": "vgg11", "fusion": "none", "drop_path_rate": 0.1}, "no stochastic depth"),
    ],
)
def test_what_a_model_has_not_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(**settings)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'convnext_tinny'.*Did you mean 'convnext_tiny'"):
        made(name="convnext_tinny", fusion="none")
    with pytest.raises(ConfigError, match=r"Did you mean 'convnext_tiny.fb_in22k'"):
        made(name="convnext_tiny.fb_in22", fusion="none")
    with pytest.raises(ConfigError, match="hf-hub"):
        made(name="hf-hub:timm/resnet18.a1_in1k", fusion="none")


def count_convolutions(model: nn.Module) -> list[nn.Module]:
    """A list to which every convolution adds itself when it runs."""
    calls: list[nn.Module] = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, *_: calls.append(module))
    return calls


@pytest.mark.parametrize(
    "settings", [{}, {"fusion": "none", **TINY}, {"fusion": "global_concat", **TINY}]
)
def test_gradient_checkpointing_changes_memory_and_nothing_else(settings: dict[str, Any]) -> None:
    images = torch.randn(4, 3, 64, 64)
    found = []
    for recomputes in (False, True):
        torch.manual_seed(0)
        model = made(gradient_checkpointing=recomputes, dropout=0.5, **settings).train()
        calls = count_convolutions(model)
        torch.manual_seed(1)
        model(images).square().sum().backward()
        gradients = {name: p.grad for name, p in model.named_parameters()}
        found.append((gradients, model.state_dict(), len(calls)))
    (plain, before, once), (again, after, twice) = found
    assert twice > once
    for name, gradient in plain.items():
        assert torch.allclose(gradient, again[name], atol=1e-5, rtol=1e-3), name  # type: ignore[arg-type]
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name  # statistics of batches, counted once


def test_a_model_that_cannot_recompute_says_so() -> None:
    with pytest.raises(ConfigError, match="gradient_checkpointing = true"):
        made(name="vgg11", fusion="none", gradient_checkpointing=True)


def test_the_head_is_what_depends_on_the_classes() -> None:
    assert head_names(made()) == ["head.1.weight", "head.1.bias"]
    assert head_names(made(fusion="none", **TINY)) == ["classifier.weight", "classifier.bias"]


def test_sections_are_checked_before_anything_is_built() -> None:
    check_model(ImageModelConfig())
    check_model(ImageModelConfig(name="no_such_model", fusion="none"))  # timm is asked later


def test_a_size_that_the_model_cannot_take_is_refused_before_training() -> None:
    section = ImageModelConfig(name="crossvit_9_240", fusion="none", pretrained=False)
    for _ in range(2):  # what failed is tried, and named, again
        with pytest.raises(ConfigError, match=r"for pictures of 64 x 64.*model\.input_size=240"):
            make_image_model(section, 3, image_size=64)
    taken = make_image_model(section.model_copy(update={"input_size": 240}), 3, image_size=64)
    assert taken.training


def test_a_size_is_tried_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker builds the same network for every trial of a study."""
    seen: list[torch.Size] = []
    pass_through = ImageClassifier.forward

    def forward(self: ImageClassifier, images: torch.Tensor) -> torch.Tensor:
        seen.append(images.shape)
        return pass_through(self, images)

    monkeypatch.setattr(ImageClassifier, "forward", forward)
    for size, fusion in ((72, "msff"), (72, "msff"), (104, "msff"), (72, "simple_concat")):
        made(classes=size, dropout=size / 1000, **TINY | {"input_size": size, "fusion": fusion})
    assert [shape[-1] for shape in seen] == [72, 104, 72]
