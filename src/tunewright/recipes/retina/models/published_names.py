"""Names of weights in checkpoints of RET-CLIP and CLIP, translated to those of our model.

Sources of the names: the state dicts of OpenAI's CLIP (`visual.`), of BERT (`bert.`), and of
RET-CLIP, which joins both with maps and scales of three branches (Du et al., MICCAI 2024).
"""

from collections.abc import Mapping

from torch import Tensor

VISION, TEXT = "image_encoder.", "text_encoder."
"""Beginnings of the names of our two encoders."""
PROJECTION = "image_encoder.projection.weight"

_WHOLE = {
    "logit_scale": "criteria.patient.log_scale",
    "logit_scale_left": "criteria.left.log_scale",
    "logit_scale_right": "criteria.right.log_scale",
    "global_feature_mapping.weight": "image_maps.patient.weight",
    "left_feature_mapping.weight": "image_maps.left.weight",
    "right_feature_mapping.weight": "image_maps.right.weight",
    "visual.proj": PROJECTION,
    "visual.class_embedding": "image_encoder.backbone.cls_token",
    "visual.positional_embedding": "image_encoder.backbone.pos_embed",
}
_TEXT_MAPS = {
    "text_projection_left.": "text_maps.left.",
    "text_projection_right.": "text_maps.right.",
    "text_projection.": "text_maps.patient.",
}
_IN_VISION = (
    ("conv1.", "patch_embed.proj."),
    ("transformer.resblocks.", "blocks."),
    ("ln_pre.", "norm_pre."),
    ("ln_post.", "norm."),
    ("ln_", "norm"),
    ("attn.in_proj_", "attn.qkv."),
    ("attn.out_proj.", "attn.proj."),
    ("mlp.c_fc.", "mlp.fc1."),
    ("mlp.c_proj.", "mlp.fc2."),
)
_UNUSED = ("pooler.", "cls.", "position_ids")
"""Parts of BERT that the model has no use for: its pooler, its heads, and a buffer of numbers."""


def strip_module(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights without `module.` before their names, which several GPUs leave there."""
    return {name.removeprefix("module."): tensor for name, tensor in found.items()}


def is_published(found: Mapping[str, Tensor]) -> bool:
    """Return whether names are those of RET-CLIP or CLIP."""
    return any(name.startswith(("visual.", "bert.")) for name in found)


def translate(found: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights of a checkpoint of RET-CLIP under our names, and the names left aside.

    Unknown names stay as they are, so that whoever loads them lists them.
    """
    ours: dict[str, Tensor] = {}
    aside: list[str] = []
    for name, tensor in found.items():
        if name.startswith("bert."):
            renamed = _bert_name(name.removeprefix("bert."))
            if renamed is None:
                aside.append(name)
                continue
            ours[renamed] = tensor
        elif name.startswith("visual.") or name in _WHOLE:
            ours[_WHOLE.get(name) or _vision_name(name)] = _turn(name, tensor)
        else:
            start = next((start for start in _TEXT_MAPS if name.startswith(start)), "")
            ours[_TEXT_MAPS.get(start, "") + name.removeprefix(start)] = tensor
    return ours, aside


def vision_weights(found: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights of the image encoder under our names, and the names left aside.

    found: a model of ours or of RET-CLIP, weights of CLIP with or without `visual.`, or those that
    timm keeps.
    """
    if any(name.startswith(VISION) for name in found):
        return _select(found, VISION)
    if "class_embedding" in found or "attnpool.positional_embedding" in found:
        found = {f"visual.{name}": tensor for name, tensor in found.items()}
    if any(name.startswith("visual.") for name in found):
        ours, _ = translate({n: t for n, t in found.items() if n.startswith("visual.")})
        return ours, [name for name in found if not name.startswith("visual.")]
    ours = {f"{VISION}backbone.{name}": t for name, t in found.items() if name[:5] != "head."}
    return ours, [name for name in found if name.startswith("head.")]


def text_weights(found: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights of the text encoder under our names, and the names left aside.

    found: a model of ours or of RET-CLIP, or a BERT with or without `bert.`.
    """
    if any(name.startswith(TEXT) for name in found):
        return _select(found, TEXT)
    prefix = "bert." if any(name.startswith("bert.") for name in found) else ""
    ours: dict[str, Tensor] = {}
    aside: list[str] = []
    for name, tensor in found.items():
        renamed = _bert_name(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if renamed is None:
            aside.append(name)
        else:
            ours[renamed] = tensor
    return ours, aside


def _bert_name(name: str) -> str | None:
    """Return our name of a weight of BERT; None for what the model does not use."""
    if any(part in name for part in _UNUSED):
        return None
    # The first checkpoints of BERT call the scale and the shift of a norm so.
    for old, new in (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")):
        name = name.replace(old, new)
    return f"{TEXT}bert.{name}"


def _vision_name(name: str) -> str:
    name = name.removeprefix("visual.")
    for old, new in _IN_VISION:
        name = name.replace(old, new)
    return f"{VISION}backbone.{name}"


def _turn(name: str, tensor: Tensor) -> Tensor:
    """Return a weight with the axes that ours has."""
    if name == "visual.proj":
        return tensor.T  # [width, embed_dim] -> [embed_dim, width]
    if name == "visual.class_embedding":
        return tensor.reshape(1, 1, -1)
    return tensor[None] if name == "visual.positional_embedding" else tensor


def _select(found: Mapping[str, Tensor], start: str) -> tuple[dict[str, Tensor], list[str]]:
    chosen = {name: tensor for name, tensor in found.items() if name.startswith(start)}
    return chosen, [name for name in found if name not in chosen]
