"""`models`: exact counts and sizes, short names first, and a word for what matches nothing."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

import tunewright
from tunewright.classification.models.config import FLOWER_MODELS, ImageModelConfig
from tunewright.classification.models.image_classifier import make_image_model
from tunewright.classification.models.model_table import safetensors_bytes
from tunewright.cli import app
from tunewright.deliver.classification.models import models
from tunewright.errors import UsageError


def test_without_a_filter_it_lists_the_short_names_the_flowers_first() -> None:
    found = models(inline=True)
    names = [row["name"] for row in found.rows]
    assert names[:6] == list(FLOWER_MODELS)
    assert names[-3:] == [f"colornet_v1 {f}" for f in ("msff", "global_concat", "simple_concat")]
    rows = {row["name"]: row for row in found.rows}
    large, swin = rows["convnext_large"], rows["swin_v2_base"]
    assert large["parameters"] == 196_384_036
    assert large["bytes_fp32"] > 500e6 > large["bytes_fp16"]  # what the guide had wrong
    assert (large["licence"], swin["licence"]) == ("apache-2.0", "mit")
    assert (swin["input_size"], swin["fixed"]) == (256, True)
    assert not large["fixed"]
    assert [notice for notice in found.notices if "timm knows" in notice]


def test_colornet_is_listed_with_each_fusion() -> None:
    found = models("colornet", classes=12, inline=True)
    assert [row["parameters"] for row in found.rows] == [4_582_076, 1_536_956, 1_535_036]
    assert {row["backbone_parameters"] for row in found.rows} == {1_533_104}
    assert {row["licence"] for row in found.rows} == {"none"}
    assert found.rows[0]["settings"] == "model.name=colornet_v1 model.fusion=msff"


def test_a_filter_finds_models_of_timm_by_part_or_pattern() -> None:
    by_part = [row["name"] for row in models("mobilenetv4_conv_small", inline=True).rows]
    assert "mobilenetv4_conv_small" in by_part
    (resnet,) = models("resnet1?", inline=True).rows
    assert (resnet["name"], resnet["backbone_parameters"]) == ("resnet18", 11_176_512)
    assert resnet["parameters"] == 11_176_512 + 100 * 513
    tagged = [row["name"] for row in models("resnet18.a1", inline=True).rows]
    assert tagged == ["resnet18.a1_in1k"]
    swin = [row["name"] for row in models("swinv2_base_window12to16", inline=True).rows]
    assert swin[0] == "swin_v2_base"


def test_a_broad_filter_is_cut_with_a_notice() -> None:
    found = models("resnet", limit=2, inline=True)
    assert len(found.rows) == 2
    assert "more match: a longer filter, or --limit" in found.notices[0]


def test_nothing_found_suggests_what_is_near() -> None:
    with pytest.raises(UsageError, match=r"'convnexxt_tiny'.*Did you mean convnext_tiny"):
        models("convnexxt_tiny", inline=True)
    with pytest.raises(UsageError, match="at least one"):
        models(limit=0)


@pytest.mark.parametrize(
    "section",
    [
        ImageModelConfig(),
        ImageModelConfig(fusion="simple_concat"),
        ImageModelConfig(name="test_efficientnet", fusion="none"),
        ImageModelConfig(name="test_convnext", fusion="global_concat"),
        ImageModelConfig(name="test_vit", fusion="none"),
    ],
)
@pytest.mark.parametrize("half", [False, True])
def test_sizes_are_those_of_the_file_to_the_byte(
    tmp_path: Path, section: ImageModelConfig, half: bool
) -> None:
    state = make_image_model(section, 17).state_dict()
    stored = {
        name: tensor.half() if half and tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    save_file(stored, tmp_path / "model.safetensors")
    expected = (tmp_path / "model.safetensors").stat().st_size
    assert safetensors_bytes(state, half=half) == expected
    on_no_device = {name: tensor.to("meta") for name, tensor in state.items()}
    assert safetensors_bytes(on_no_device, half=half) == expected


def test_a_child_answers_the_same_and_the_command_prints_it() -> None:
    words = ["models", "colornet", "--classes", "24"]
    printed = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert printed == models("colornet", classes=24, inline=True).as_json()
    table = CliRunner().invoke(app, words).output
    assert "4,585,160" in table
    assert "licence of weights" in table
    assert tunewright.models("colornet", classes=24).as_json() == printed


def test_nothing_is_allocated() -> None:
    """Weights of a model that would fill gigabytes are counted, and not made."""
    [row] = models("vit_giant_patch14_clip_224", inline=True).rows[:1]
    assert row["parameters"] > 1e9
    assert torch.empty(0).device.type == "cpu"  # and the default device is as it was
