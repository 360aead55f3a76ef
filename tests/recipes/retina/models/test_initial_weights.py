"""Weights from files: of RET-CLIP, CLIP and BERT by their names, strictly, tensors alone."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import _convert_openai_clip
from torch import Tensor, nn

from tunewright.errors import DataError
from tunewright.recipes.retina.config import TripartiteConfig, TripartiteLossConfig
from tunewright.recipes.retina.models.image_encoder import ImageEncoder, make_image_encoder
from tunewright.recipes.retina.models.initial_weights import load_initial, load_whole
from tunewright.recipes.retina.models.published_names import translate
from tunewright.recipes.retina.models.tripartite import TripartiteModel

WIDTH, SHARED = 32, 16
TO_PUBLISHED = {
    "criteria.patient.log_scale": "logit_scale",
    "criteria.left.log_scale": "logit_scale_left",
    "criteria.right.log_scale": "logit_scale_right",
    "image_maps.patient.weight": "global_feature_mapping.weight",
    "image_maps.left.weight": "left_feature_mapping.weight",
    "image_maps.right.weight": "right_feature_mapping.weight",
    "image_encoder.backbone.norm_pre.bias": "visual.ln_pre.bias",
    "image_encoder.backbone.norm_pre.weight": "visual.ln_pre.weight",
    "image_encoder.backbone.norm.bias": "visual.ln_post.bias",
    "image_encoder.backbone.norm.weight": "visual.ln_post.weight",
    "image_encoder.backbone.patch_embed.proj.weight": "visual.conv1.weight",
}
IN_BLOCK = {
    "norm1.weight": "ln_1.weight",
    "norm1.bias": "ln_1.bias",
    "norm2.weight": "ln_2.weight",
    "norm2.bias": "ln_2.bias",
    "attn.qkv.weight": "attn.in_proj_weight",
    "attn.qkv.bias": "attn.in_proj_bias",
    "attn.proj.weight": "attn.out_proj.weight",
    "attn.proj.bias": "attn.out_proj.bias",
    "mlp.fc1.weight": "mlp.c_fc.weight",
    "mlp.fc1.bias": "mlp.c_fc.bias",
    "mlp.fc2.weight": "mlp.c_proj.weight",
    "mlp.fc2.bias": "mlp.c_proj.bias",
}


class TinyBert(nn.Module):
    """The names of a BERT, and hardly any weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {"word_embeddings": nn.Embedding(9, 8), "LayerNorm": nn.LayerNorm(8)}
        )


class TinyTextEncoder(nn.Module):
    width = 8

    def __init__(self) -> None:
        super().__init__()
        self.bert = TinyBert()


def tiny(seed: int, size: int = 32) -> TripartiteModel:
    torch.manual_seed(seed)
    backbone = timm.create_model(
        "vit_base_patch16_clip_quickgelu_224",
        num_classes=0,
        img_size=size,
        embed_dim=WIDTH,
        depth=2,
        num_heads=2,
    )
    model = TripartiteModel(
        ImageEncoder(backbone, SHARED), TinyTextEncoder(), TripartiteLossConfig()
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model


def published(model: TripartiteModel) -> dict[str, Tensor]:
    """Return a model's weights under the names that RET-CLIP publishes."""
    found = {}
    for name, tensor in model.state_dict().items():
        if name in TO_PUBLISHED:
            found[TO_PUBLISHED[name]] = tensor
        elif name.startswith("image_encoder.backbone.blocks."):
            _, _, rest = name.partition("blocks.")
            number, _, inner = rest.partition(".")
            found[f"visual.transformer.resblocks.{number}.{IN_BLOCK[inner]}"] = tensor
        elif name == "image_encoder.backbone.cls_token":
            found["visual.class_embedding"] = tensor[0, 0]
        elif name == "image_encoder.backbone.pos_embed":
            found["visual.positional_embedding"] = tensor[0]
        elif name == "image_encoder.projection.weight":
            found["visual.proj"] = tensor.T.contiguous()
        elif name.startswith("text_encoder.bert."):
            found[name.removeprefix("text_encoder.")] = tensor
        else:
            _, branch, inner = name.split(".", 2)
            start = "text_projection" if branch == "patient" else f"text_projection_{branch}"
            found[f"{start}.{inner}"] = tensor
    found["bert.pooler.dense.weight"] = torch.zeros(8, 8)
    found["bert.embeddings.position_ids"] = torch.arange(5)
    return found


def equal(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.state_dict().items())


Wrap = Callable[[dict[str, Tensor]], object]
WRAPS: Mapping[str, Wrap] = {
    "bare": lambda state: state,
    "wrapped": lambda state: {"epoch": 3, "step": 9, "name": "x", "state_dict": state},
    "module": lambda state: {"state_dict": {f"module.{n}": t for n, t in state.items()}},
}


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("names", ["ours", "published"])
def test_a_whole_model(tmp_path: Path, wrap: str, names: str) -> None:
    one, other = tiny(1), tiny(2)
    state = one.state_dict() if names == "ours" else published(one)
    torch.save(WRAPS[wrap](dict(state)), tmp_path / "epoch10.pt")
    notices = " ".join(load_whole(other, tmp_path / "epoch10.pt"))
    assert equal(one, other)
    assert ("translated" in notices) == (names == "published")
    assert ("bert.pooler.dense.weight" in notices) == (names == "published")


def test_half_precision(tmp_path: Path) -> None:
    one, other = tiny(1), tiny(2)
    state = {n: t.half() if t.is_floating_point() else t for n, t in published(one).items()}
    torch.save(state, tmp_path / "epoch10.pt")
    load_whole(other, tmp_path / "epoch10.pt")
    assert other.image_maps["left"].weight.dtype == torch.float32


def test_timm_translates_the_image_encoder_alike() -> None:
    state = published(tiny(1))
    theirs = _convert_openai_clip(state, tiny(1).image_encoder.backbone)
    ours, _ = translate(state)
    for name, tensor in theirs.items():
        if name == "head.weight":
            assert torch.equal(ours["image_encoder.projection.weight"], tensor)
        elif name != "head.bias":
            assert torch.equal(ours[f"image_encoder.backbone.{name}"], tensor)


def test_the_names_of_the_published_model_are_those_of_ours() -> None:
    section = TripartiteConfig(vision="ViT-B-16")
    with torch.device("meta"):
        encoder = make_image_encoder(section, 224)
        model = TripartiteModel(encoder, TinyTextEncoder(), TripartiteLossConfig())
    ours, _ = translate(published(model))
    own = model.state_dict()
    assert {name: t.shape for name, t in ours.items()} == {n: t.shape for n, t in own.items()}


def test_what_does_not_match_is_listed(tmp_path: Path) -> None:
    state = published(tiny(1))
    del state["logit_scale_left"], state["visual.ln_post.bias"]
    state["visual.conv1.weight"] = torch.zeros(32, 3, 8, 8)
    state["prompts"] = torch.zeros(3)
    torch.save(state, tmp_path / "epoch10.pt")
    with pytest.raises(DataError) as refused:
        load_whole(tiny(2), tmp_path / "epoch10.pt")
    for part in (
        "2 missing (criteria.left.log_scale, image_encoder.backbone.norm.bias)",
        "1 unknown (prompts)",
        "image_encoder.backbone.patch_embed.proj.weight is [32, 3, 8, 8], not [32, 3, 16, 16]",
    ):
        assert part in str(refused.value)


def test_code_is_not_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "harm",))

    (tmp_path / "epoch10.pt").write_bytes(pickle.dumps({"state_dict": Hostile()}))
    with pytest.raises(DataError, match="tensors only"):
        load_whole(tiny(2), tmp_path / "epoch10.pt")
    torch.save({"state_dict": {"a": Hostile()}}, tmp_path / "epoch11.pt")
    with pytest.raises(DataError, match="tensors only"):
        load_whole(tiny(2), tmp_path / "epoch11.pt")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("form", ["checkpoint", "clip", "timm", "ours"])
def test_an_image_encoder_alone(tmp_path: Path, form: str) -> None:
    one, other, former = tiny(1), tiny(2), tiny(2)
    state = published(one)
    if form == "clip":
        visual = {n for n in state if n.startswith("visual.")}
        state = {n.removeprefix("visual."): state[n] for n in visual}
    if form == "timm":
        state = {**one.image_encoder.backbone.state_dict(), "head.bias": torch.zeros(4)}
    if form == "ours":
        state = one.state_dict()
    file = tmp_path / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, file)
    notices = " ".join(load_initial(other, TripartiteConfig(vision_weights=str(file))))
    assert equal(one.image_encoder.backbone, other.image_encoder.backbone)
    assert equal(other.text_maps, former.text_maps)
    assert ("has no projection" in notices) == (form == "timm")
    expected = former if form == "timm" else one
    assert equal(expected.image_encoder.projection, other.image_encoder.projection)


@pytest.mark.parametrize("prefix", ["bert.", ""])
def test_a_text_encoder_alone(tmp_path: Path, prefix: str) -> None:
    """With the names of the first BERT, whose norms have gamma and beta."""
    one, other, former = tiny(1), tiny(2), tiny(2)
    words = one.text_encoder.bert.embeddings.word_embeddings.weight.detach()
    norm = one.text_encoder.bert.embeddings.LayerNorm
    state = {
        f"{prefix}embeddings.word_embeddings.weight": words,
        f"{prefix}embeddings.LayerNorm.gamma": norm.weight.detach(),
        f"{prefix}embeddings.LayerNorm.beta": norm.bias.detach(),
        f"{prefix}pooler.dense.bias": torch.zeros(8),
        "cls.predictions.bias": torch.zeros(9),
    }
    torch.save(state, tmp_path / "pytorch_model.bin")
    section = TripartiteConfig(text_weights=str(tmp_path / "pytorch_model.bin"))
    notices = " ".join(load_initial(other, section))
    assert equal(one.text_encoder, other.text_encoder)
    assert equal(other.image_encoder, former.image_encoder)
    assert "cls.predictions.bias" in notices
    del state[f"{prefix}embeddings.LayerNorm.beta"]
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"model.text_weights = .*1 missing"):
        load_initial(other, section)


def test_positions_are_resampled_to_the_size_of_the_pictures(tmp_path: Path) -> None:
    one, other = tiny(1), tiny(2, size=64)
    torch.save(published(one), tmp_path / "epoch10.pt")
    notices = " ".join(load_whole(other, tmp_path / "epoch10.pt"))
    assert "positions of 2 x 2 patches are resampled to 4 x 4" in notices
    found = other.image_encoder.backbone.pos_embed[0, 0]
    assert torch.equal(found, one.image_encoder.backbone.pos_embed[0, 0])
