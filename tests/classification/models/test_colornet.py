"""ColorNet-V1 has the layers, and the number of weights, of the table that describes it."""

import pytest
import torch
from torch import nn

from tunewright.classification.models.colornet import STAGES, ColorNet, MBConv, SqueezeExcite
from tunewright.classification.models.config import ImageModelConfig
from tunewright.classification.models.fusion import FUSIONS
from tunewright.classification.models.image_classifier import make_image_model


def weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def backbone() -> ColorNet:
    with torch.device("meta"):
        return ColorNet()


def test_every_stage_has_its_number_of_weights(backbone: ColorNet) -> None:
    assert weights(backbone.stem) == 928
    assert [weights(stage) for stage in backbone.stages] == [20_352, 112_112, 383_808, 1_015_904]
    assert weights(backbone) == 1_533_104


@pytest.mark.parametrize(
    ("fusion", "own", "twelve", "twenty_four"),
    [
        ("msff", 3_045_888, 4_582_076, 4_585_160),
        ("global_concat", 0, 1_536_956, 1_540_808),
        ("simple_concat", 0, 1_535_036, 1_536_968),
    ],
)
def test_whole_models_have_the_counts_of_the_table(
    fusion: str, own: int, twelve: int, twenty_four: int
) -> None:
    with torch.device("meta"):
        assert weights(FUSIONS[fusion](ColorNet.channels)) == own
        for classes, expected in ((12, twelve), (24, twenty_four)):
            section = ImageModelConfig(fusion=fusion)  # type: ignore[arg-type]
            assert weights(make_image_model(section, classes)) == expected


def test_levels_have_the_strides_of_the_table(backbone: ColorNet) -> None:
    levels = backbone(torch.empty(2, 3, 64, 96, device="meta"))
    assert [tuple(level.shape) for level in levels] == [
        (2, 48, 16, 24),
        (2, 64, 8, 12),
        (2, 96, 4, 6),
        (2, 160, 2, 3),
    ]


def test_only_blocks_that_change_nothing_are_skipped(backbone: ColorNet) -> None:
    blocks = [block for block in backbone.modules() if isinstance(block, MBConv)]
    assert len(blocks) == sum(count for _, count in STAGES)
    assert sum(block.skips for block in blocks) == len(blocks) - len(STAGES)


def test_only_the_squeezes_have_biases_among_convolutions(backbone: ColorNet) -> None:
    biased = {id(m) for m in backbone.modules() if isinstance(m, nn.Conv2d) and m.bias is not None}
    squeezes = {
        id(m)
        for squeeze in backbone.modules()
        if isinstance(squeeze, SqueezeExcite)
        for m in squeeze.modules()
        if isinstance(m, nn.Conv2d)
    }
    assert biased == squeezes
    assert len(biased) == 2 * 9


def test_a_block_is_what_its_description_says() -> None:
    """Line by line in float64, against the functions of torch."""
    torch.manual_seed(0)
    block = MBConv(8, 8, stride=1).double().eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight)
            nn.init.uniform_(module.bias)
    widen, norm1, _, depth, norm2, _, squeeze, narrow, norm3 = block.layers
    x = torch.randn(2, 8, 5, 7, dtype=torch.float64)

    def normed(y: torch.Tensor, norm: nn.BatchNorm2d) -> torch.Tensor:
        mean, var = (s[:, None, None] for s in (norm.running_mean, norm.running_var))
        weight, bias = (s[:, None, None] for s in (norm.weight, norm.bias))
        return (y - mean) / (var + 1e-5).sqrt() * weight + bias

    def silu(y: torch.Tensor) -> torch.Tensor:
        return y / (1 + (-y).exp())

    y = torch.einsum("oi,bihw->bohw", widen.weight[:, :, 0, 0], x)
    y = silu(normed(y, norm1))
    padded = nn.functional.pad(y, (1, 1, 1, 1))
    y = sum(
        depth.weight[:, 0, i, j][:, None, None] * padded[:, :, i : i + 5, j : j + 7]
        for i in range(3)
        for j in range(3)
    )
    y = silu(normed(y, norm2))
    _, first, _, second, _ = squeeze.weigh
    means = y.mean(dim=(2, 3))
    inner = silu(means @ first.weight[:, :, 0, 0].T + first.bias)
    outer = inner @ second.weight[:, :, 0, 0].T + second.bias
    y = y * (1 / (1 + (-outer).exp()))[:, :, None, None]
    y = normed(torch.einsum("oi,bihw->bohw", narrow.weight[:, :, 0, 0], y), norm3)
    assert torch.allclose(block(x), x + y, atol=1e-12)


def test_initialisation_is_torchs_own() -> None:
    torch.manual_seed(3)
    made = ColorNet().stem[0].weight
    torch.manual_seed(3)
    assert torch.equal(made, nn.Conv2d(3, 32, 3, bias=False).weight)
