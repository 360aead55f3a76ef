"""The tripartite model: its size, its loss by the published numbers, its gradients."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tunewright.config.compose import compose
from tunewright.contrastive.losses import SoftmaxLoss
from tunewright.recipes.registry import find_recipe
from tunewright.recipes.retina.config import (
    RetinaConfig,
    TripartiteConfig,
    TripartiteLossConfig,
)
from tunewright.recipes.retina.models.image_encoder import make_image_encoder
from tunewright.recipes.retina.models.text_encoders import SmallTextEncoder
from tunewright.recipes.retina.models.tripartite import TripartiteModel, tripartite_loss

A = [[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0, 1]]
T = [[0.8, 0.6, 0], [0, 1, 0], [0, 0.6, 0.8], [0.6, 0, 0.8]]
ONE_BRANCH = {90.0: 10.886643544532575, 10.0: 1.4104623162339363, 1 / 0.07: 1.8561322257513444}
ORACLE = json.loads((Path(__file__).parents[3] / "oracles/retina.json").read_text())
BERT_PARAMETERS = 101_677_056
"""BERT with 21,128 words, 12 layers, width 768, 512 positions, without its pooler."""
WHOLE = 191_871_235


class Bert(nn.Module):
    """Stands for a BERT of 768 in tests of everything beside it."""

    width = 768


def criteria(scales: list[float]) -> nn.ModuleDict:
    torch.set_default_dtype(torch.float64)
    try:
        return nn.ModuleDict(
            {
                branch: SoftmaxLoss(temperature=1 / scale, learnable_temp=True)
                for branch, scale in zip(("patient", "left", "right"), scales, strict=True)
            }
        )
    finally:
        torch.set_default_dtype(torch.float32)


def vectors() -> list[Tensor]:
    images, texts = (torch.tensor(rows, dtype=torch.float64) for rows in (A, T))
    return [images] * 3 + [texts] * 3


def losses(scales: list[float], groups: Tensor | None = None, shown: Tensor | None = None):
    if groups is None:
        groups = torch.arange(4)[:, None].expand(4, 3)
    if shown is None:
        shown = torch.ones(4, 3, dtype=torch.bool)
    return tripartite_loss(criteria(scales), vectors(), groups, shown)


@pytest.mark.parametrize(("scale", "value"), ONE_BRANCH.items())
def test_one_branch_is_the_published_value(scale: float, value: float) -> None:
    assert losses([scale] * 3)["patient"].item() == pytest.approx(value, rel=1e-12)


def test_three_branches_add_up() -> None:
    found = losses(list(ONE_BRANCH))
    assert sum(value.item() for value in found.values()) == pytest.approx(
        14.153238086517856, rel=1e-12
    )


def test_open_clip_agrees() -> None:
    for scale, value in ORACLE["clip_loss"].items():
        assert losses([float(scale)] * 3)["left"].item() == pytest.approx(value, rel=1e-12)


def test_equal_reports_are_positives_of_each_other() -> None:
    """The target of a row is 1 / count on all rows with its text, written out entry by entry."""
    groups = torch.tensor([0, 0, 1, 2])[:, None].expand(4, 3)
    logits = 10.0 * torch.tensor(A, dtype=torch.float64) @ torch.tensor(T, dtype=torch.float64).T
    same = groups[:, :1] == groups[:, :1].T
    target = same / same.sum(1, keepdim=True)
    expected = -sum((target * table.log_softmax(1)).sum(1).mean() for table in (logits, logits.T))
    assert losses([10.0] * 3, groups)["right"].item() == pytest.approx(expected.item() / 2)


def test_an_absent_eye_neither_counts_nor_is_a_negative() -> None:
    shown = torch.ones(4, 3, dtype=torch.bool)
    shown[2, 1] = shown[2, 0] = False
    found = losses([10.0] * 3, shown=shown)
    kept = [0, 1, 3]
    images, texts = (torch.tensor([rows[i] for i in kept], dtype=torch.float64) for rows in (A, T))
    alone = criteria([10.0] * 3)["left"](images, texts, torch.arange(3))
    assert found["left"].item() == pytest.approx(alone.item(), rel=1e-12)
    assert found["right"].item() == pytest.approx(ONE_BRANCH[10.0], rel=1e-12)
    shown[:, 2] = False
    assert losses([10.0] * 3, shown=shown)["right"].item() == 0.0


def test_the_published_model_has_the_published_size() -> None:
    section = TripartiteConfig(vision="ViT-B-16", text="RoBERTa-wwm-ext-base-chinese")
    with torch.device("meta"):
        image_encoder = make_image_encoder(section, 224)
        model = TripartiteModel(image_encoder, Bert(), TripartiteLossConfig())

    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(image_encoder) == 86_192_640
    assert count(model.image_maps) == 1_048_576
    assert count(model.text_maps) == 2_952_960
    assert count(model) == WHOLE - BERT_PARAMETERS


def test_the_published_model_with_its_bert() -> None:
    transformers = pytest.importorskip("transformers", reason="needs the extra `retina`")
    from tunewright.recipes.retina.models.bert import BertTextEncoder, make_bert

    section = TripartiteConfig(vision="ViT-B-16", text="RoBERTa-wwm-ext-base-chinese")
    with torch.device("meta"):
        bert = make_bert(transformers.BertConfig(vocab_size=21_128))
        model = TripartiteModel(
            make_image_encoder(section, 224), BertTextEncoder(bert, 768, 0), TripartiteLossConfig()
        )
    assert sum(parameter.numel() for parameter in model.parameters()) == WHOLE


@pytest.mark.parametrize(
    ("vision", "width", "size"),
    [("ViT-B-32", 512, 224), ("ViT-L-14", 768, 224), ("ViT-L-14-336", 768, 336)],
)
def test_other_shapes_of_clip(vision: str, width: int, size: int) -> None:
    with torch.device("meta"):
        encoder = make_image_encoder(TripartiteConfig(vision=vision), size)
    assert encoder.projection.out_features == width


def small_model(vision: str = "small", size: int = 32) -> TripartiteModel:
    section = TripartiteConfig(vision=vision, embed_dim=16)
    torch.manual_seed(0)
    encoder = make_image_encoder(section, size)
    return TripartiteModel(encoder, SmallTextEncoder(9, 6, 8, 1, 2, 0.0), TripartiteLossConfig())


@pytest.mark.parametrize(("vision", "size"), [("small", 32), ("test_vit", 64), ("RN50", 64)])
def test_gradients_reach_every_parameter(vision: str, size: int) -> None:
    model = small_model(vision, size)
    for module in model.modules():  # timm begins with residual branches that are switched off
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    eyes = torch.randn(2, 4, 3, size, size)
    tokens = torch.randint(3, 9, (4, 3, 6))
    found = model(eyes[0], eyes[1], tokens)
    groups = torch.arange(4)[:, None].expand(4, 3)
    total = tripartite_loss(model.criteria, found, groups, torch.ones(4, 3, dtype=torch.bool))
    torch.stack(list(total.values())).sum().backward()
    still = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.abs().sum() > 0)
    ]
    assert still == []


def test_one_eye_alone_is_mapped_as_in_the_pair() -> None:
    model = small_model().eval()
    left, right = torch.randn(2, 3, 3, 32, 32)
    _, of_left, of_right = model.encode_eyes(left, right)
    raw = model.image_encoder(left)
    assert torch.allclose(
        of_left, nn.functional.normalize(model.image_maps["left"](raw), dim=1), atol=1e-5
    )
    assert not torch.allclose(of_left, nn.functional.normalize(raw, dim=1), atol=1e-2)
    assert of_right.shape == of_left.shape == (3, 16)


def test_one_text_serves_all_branches() -> None:
    model = small_model().eval()
    tokens = torch.randint(3, 9, (4, 1, 6))
    for one, three in zip(
        model.encode_texts(tokens), model.encode_texts(tokens.expand(4, 3, 6)), strict=True
    ):
        assert torch.allclose(one, three, atol=1e-6)


def test_scales_stay_within_their_bounds() -> None:
    model = small_model()
    for criterion, value in zip(model.criteria.values(), (-1.0, 9.0, 2.0), strict=True):
        criterion.log_scale.data.fill_(value)
    model.clamp_()
    found = [criterion.log_scale.item() for criterion in model.criteria.values()]
    assert found == pytest.approx([0.0, math.log(100), 2.0])


def test_a_temperature_that_is_set_is_fixed_unless_it_is_said() -> None:
    def section(*words: str) -> TripartiteLossConfig:
        config = compose(find_recipe("retina"), ["data.dir=mine", *words]).config
        assert isinstance(config, RetinaConfig)
        return config.loss

    assert section().initial_temperature == pytest.approx(1 / 90)
    assert section().learns_temperature
    assert not section("loss.temperature=0.07").learns_temperature
    assert section("loss.temperature=0.07", "loss.learnable_temp=true").learns_temperature
