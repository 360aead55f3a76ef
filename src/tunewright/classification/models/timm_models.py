"""Models of timm, built from their configuration: as they are, or as a backbone of four levels."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import timm
import torch
from timm.layers.drop import DropPath
from timm.models import (
    get_arch_name,
    get_pretrained_cfg,
    group_parameters,
    is_model,
    list_models,
    model_entrypoint,
)
from timm.optim._param_groups import auto_group_layers
from torch import nn

from tunewright.classification.models.config import ImageModelConfig
from tunewright.classification.models.timm_info import TimmFacts
from tunewright.errors import ConfigError

STRIDES = (4, 8, 16, 32)
"""Strides of the levels c2 to c5."""


def facts(name: str) -> dict[str, Any]:
    """Return the `TimmFacts` of a name as plain values; or `near`, a similar name, if unknown."""
    cfg = _pretrained_config(name)
    if cfg is None:
        return {"near": nearest(name)}
    tag = f".{cfg.tag}" if cfg.tag else ""
    files = (cfg.hf_hub_filename,) if cfg.hf_hub_filename else HUB_FILES
    module = model_entrypoint(name).__module__.rpartition(".")[2]
    return asdict(
        TimmFacts(
            name=f"{get_arch_name(name)}{tag}",
            repository=cfg.hf_hub_id or "",
            files=files,
            url=cfg.url if isinstance(cfg.url, str) else "",
            licence=cfg.license,
            size=cfg.input_size[-1],
            fixed=cfg.fixed_input_size,
            rigid=cfg.fixed_input_size and module.startswith("swin"),
        )
    )


HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""Files that timm looks for in a hub repository, in order."""


def names(tags: bool = False) -> list[str]:
    """Return all models of timm; with `tags`, a name for each set of weights."""
    found: list[str] = list_models(include_tags=tags)
    return found


def _pretrained_config(name: str) -> Any:
    """Return timm's configuration of a set of weights; None for an unknown name."""
    try:
        return get_pretrained_cfg(name) if is_model(name) else None
    except RuntimeError:  # the architecture is known, the tag is not
        return None


def nearest(name: str) -> str:
    """Return the known name most similar to `name`, or an empty string."""
    known = names(tags="." in name)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return close[0] if close else ""


def make_timm_model(
    section: ImageModelConfig, classes: int, size: int, *, overlay: Mapping[str, str] | None = None
) -> nn.Module:
    """Build a model of timm with its own head: [B, 3, size, size] -> [B, classes].

    overlay: where to read the pretrained weights instead of timm's own source. Raises ConfigError
    for settings that this model does not have.
    """
    model = _create(section, size, overlay, num_classes=classes, drop_rate=section.dropout or None)
    if section.dropout and not _drops(model, section.dropout):
        raise _no_dropout(section)
    return model


def make_timm_levels(
    section: ImageModelConfig, size: int, *, overlay: Mapping[str, str] | None = None
) -> nn.Module:
    """Build a model of timm as a backbone: [B, 3, size, size] -> c2 to c5, each [B, C, H, W].

    Its `feature_info.channels()` are those of the levels. Raises ConfigError for a model without
    levels at strides 4, 8, 16 and 32.
    """
    with torch.device("meta"):
        whole = timm.create_model(section.name, **_size_options(section, size))
    strides = [level["reduction"] for level in getattr(whole, "feature_info", ())]
    if not set(STRIDES) <= set(strides) or not hasattr(whole, "forward_intermediates"):
        raise ConfigError(
            f"model.fusion = {section.fusion} with model.name = {section.name}",
            expected="a backbone with levels at strides 4, 8, 16 and 32, not "
            + (", ".join(map(str, strides)) or "none"),
            remedy="Use model.fusion=none for the model with its own head.",
        )
    # The last level at each stride: of strides 2, 4, 4, 8 the level at stride 4 is number 2.
    chosen = [len(strides) - 1 - strides[::-1].index(stride) for stride in STRIDES]
    return _create(
        section, size, overlay, features_only=True, feature_cls="getter", out_indices=chosen
    )


def depths(model: Any) -> dict[str, int]:
    """Return how deep each parameter is, by name, from 0 at the input; the head is deepest.

    Uses the model's own group matcher if it has one.
    """
    if hasattr(model, "group_matcher"):
        matcher = model.group_matcher(coarse=False)
        found: dict[str, int] = group_parameters(model, matcher, reverse=True)
    else:
        found = auto_group_layers(model)  # type: ignore[no-untyped-call]
    return found


def _create(
    section: ImageModelConfig, size: int, overlay: Mapping[str, str] | None, **options: Any
) -> nn.Module:
    options |= {"drop_path_rate": section.drop_path_rate, **_size_options(section, size)}
    try:
        model: nn.Module = timm.create_model(
            section.name,
            pretrained=section.pretrained,
            pretrained_cfg_overlay=dict(overlay) if overlay else None,
            **options,
        )
    except TypeError as error:
        if "'drop_path_rate'" in str(error):
            raise _no_drop_path(section) from None
        if "'drop_rate'" in str(error):
            raise _no_dropout(section) from None
        raise
    if section.drop_path_rate and not any(isinstance(m, DropPath) for m in model.modules()):
        raise _no_drop_path(section)
    if section.gradient_checkpointing:
        _checkpoint(model, section)
    return model


def _size_options(section: ImageModelConfig, size: int) -> dict[str, Any]:
    """Return `img_size` for models that are built for one size; else nothing."""
    return {"img_size": size} if _pretrained_config(section.name).fixed_input_size else {}


def _no_drop_path(section: ImageModelConfig) -> ConfigError:
    return ConfigError(
        f"model.drop_path_rate = {section.drop_path_rate} with model.name = {section.name}",
        expected="null: this model has no stochastic depth",
    )


def _no_dropout(section: ImageModelConfig) -> ConfigError:
    return ConfigError(
        f"model.dropout = {section.dropout} with model.name = {section.name}",
        expected="0: this model has no dropout before its head",
    )


def _drops(model: nn.Module, rate: float) -> bool:
    """Return whether the model accepted the dropout rate of its head."""
    return getattr(model, "drop_rate", None) == rate or any(
        isinstance(module, nn.Dropout) and module.p == rate for module in model.modules()
    )


def _checkpoint(model: Any, section: ImageModelConfig) -> None:
    whole = getattr(model, "model", model)  # unwrap the backbone of levels
    try:
        whole.set_grad_checkpointing(True)
    except (AttributeError, AssertionError):
        raise ConfigError(
            f"model.gradient_checkpointing = true with model.name = {section.name}",
            expected="false: timm cannot recompute the activations of this model",
        ) from None


def classifier_of(model: Any) -> list[nn.Module]:
    """Return the last layers of timm's model: one, or several for distilled models."""
    head = model.get_classifier()
    heads = head if isinstance(head, tuple | list) else (head,)
    return [module for module in heads if isinstance(module, nn.Module)]


def no_decay_names(model: Any) -> set[str]:
    """Return the names of parameters that the model exempts from weight decay."""
    return set(model.no_weight_decay()) if hasattr(model, "no_weight_decay") else set()
