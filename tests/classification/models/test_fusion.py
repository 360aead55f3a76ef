"""Fusions join levels as their names promise, and their options are those of the schema."""

import pytest
import torch
from torch import Tensor

from tunewright.classification.models.config import ImageModelConfig
from tunewright.classification.models.fusion import FUSIONS

CHANNELS = (6, 8, 10, 12)


def levels(size: int = 32) -> list[Tensor]:
    torch.manual_seed(1)
    return [
        torch.randn(2, channels, size // stride, size // stride)
        for channels, stride in zip(CHANNELS, (1, 2, 4, 8), strict=True)
    ]


@pytest.mark.parametrize(("name", "width"), [("msff", 256), ("global_concat", 30)])
def test_a_fusion_says_how_wide_its_vectors_are(name: str, width: int) -> None:
    fusion = FUSIONS[name](CHANNELS)
    assert fusion.width == width
    assert fusion(levels()).shape == (2, width)


def test_global_concat_is_the_means_of_the_three_coarsest_levels() -> None:
    _, c3, c4, c5 = levels()
    expected = torch.cat([level.flatten(2).mean(2) for level in (c3, c4, c5)], dim=1)
    assert torch.allclose(FUSIONS["global_concat"](CHANNELS)(levels()), expected)


def test_simple_concat_is_the_mean_of_the_coarsest_level_alone() -> None:
    fused = FUSIONS["simple_concat"](CHANNELS)(levels())
    assert torch.allclose(fused, levels()[3].flatten(2).mean(2))


def test_msff_brings_every_level_to_the_size_that_is_asked_for() -> None:
    fusion = FUSIONS["msff"](CHANNELS, fusion_size=5).eval()
    seen: list[Tensor] = []
    fusion.join.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    fusion(levels())
    assert seen[0].shape == (2, 1024, 5, 5)
    finest = fusion.laterals[0](levels()[0])
    resized = torch.nn.functional.interpolate(
        finest, size=(5, 5), mode="bilinear", align_corners=False
    )
    assert torch.equal(seen[0][:, :256], resized)


def test_names_and_options_are_those_of_the_schema() -> None:
    fields = ImageModelConfig.model_fields
    assert {*FUSIONS, "none"} == set(fields["fusion"].annotation.__args__)  # type: ignore[union-attr]
    assert FUSIONS.options("msff") == {"fusion_size": fields["fusion_size"].default}
    assert not FUSIONS.options("global_concat")
    assert not FUSIONS.options("simple_concat")
