"""Build any backbone with any fusion, or timm's own model, from its configuration."""

import sys
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from tunewright.classification.models.batch_norm_checkpointing import count_batches_once
from tunewright.classification.models.colornet import ColorNet
from tunewright.classification.models.config import COLORNET, ImageModelConfig, check_model
from tunewright.classification.models.fusion import FUSIONS
from tunewright.classification.models.pretrained import (
    load_file_weights,
    no_weights,
    pretrained_file,
)
from tunewright.classification.models.timm_query import input_size as input_size
from tunewright.classification.models.timm_query import timm_facts
from tunewright.errors import ConfigError
from tunewright.runs.callbacks import OnNotice


class ImageClassifier(nn.Module):
    """A backbone of four levels, a fusion, and a head of dropout and one linear layer.

    pretrained_cfg: what timm knows about the backbone's weights, such as their normalisation.
    """

    def __init__(
        self, backbone: nn.Module, fusion: nn.Module, classes: int, dropout: float
    ) -> None:
        super().__init__()
        self.backbone, self.fusion = backbone, fusion
        self.pretrained_cfg = getattr(backbone, "pretrained_cfg", None)
        width = cast(int, fusion.width)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Map pictures [B, 3, S, S] to logits [B, classes]."""
        return cast(Tensor, self.head(self.fusion(self.backbone(images))))


def make_image_model(
    section: ImageModelConfig,
    classes: int,
    *,
    image_size: int = 224,
    on_notice: OnNotice = print,
) -> nn.Module:
    """Build a model, pictures [B, 3, S, S] to logits [B, classes], with the configured weights.

    image_size: side of the data's pictures, for models that are built for one size. on_notice:
    called with what happened to the weights. Raises ConfigError.
    """
    check_model(section)
    # A file replaces the hub's weights.
    asked = section.model_copy(update={"pretrained": False}) if section.weights else section
    size = input_size(section, image_size)
    model = _build(asked, classes, size)
    _check_size(model, section, size)
    if section.weights:
        load_file_weights(model, head_names(model), section, on_notice, _conversion(model))
    elif section.pretrained:
        on_notice(f"initial weights: {timm_facts(section.name).name}; random weights for the head")
    if section.gradient_checkpointing:
        count_batches_once(model)
    return model


def head_modules(model: nn.Module) -> list[nn.Module]:
    """Return the modules new to a pretrained network: the last layer, and the fusion if any."""
    if isinstance(model, ImageClassifier):
        return [model.fusion, model.head]
    from tunewright.classification.models.timm_models import classifier_of

    return classifier_of(model)


def head_names(model: nn.Module) -> list[str]:
    """Return the names of the parameters whose shape depends on the number of classes."""
    heads = [model.head] if isinstance(model, ImageClassifier) else head_modules(model)
    own = {id(parameter) for head in heads for parameter in head.parameters()}
    return [name for name, parameter in model.named_parameters() if id(parameter) in own]


def _build(section: ImageModelConfig, classes: int, size: int) -> nn.Module:
    if section.name == COLORNET:
        colornet = ColorNet()
        colornet.checkpointing = section.gradient_checkpointing
        return _fuse(colornet, colornet.channels, section, classes)
    from tunewright.classification.models.timm_models import make_timm_levels, make_timm_model

    overlay = None
    if section.pretrained and (file := pretrained_file(section)) is not None:
        overlay = {"file": str(file)}
    try:
        if section.fusion == "none":
            return make_timm_model(section, classes, size, overlay=overlay)
        backbone = make_timm_levels(section, size, overlay=overlay)
    except ConfigError:
        raise
    except AssertionError as error:  # timm: its patches do not divide this size
        raise _wrong_size(section, size, error) from None
    except (OSError, RuntimeError) as error:
        if not section.pretrained:
            raise
        reason = " ".join(str(error).split())
        raise no_weights(timm_facts(section.name), f"cannot be loaded ({reason})") from None
    return _fuse(backbone, backbone.feature_info.channels(), section, classes)  # type: ignore[operator,union-attr]


def _check_size(model: nn.Module, section: ImageModelConfig, size: int) -> None:
    """Raise ConfigError if a model of timm cannot take pictures of `size`, which building hides.

    A size that passed is not tried again in this process: a worker builds the same network for
    every trial of a study, and no setting but these decides whether it fits.
    """
    tried = (section.name, section.fusion, section.fusion_size, size)
    if section.name == COLORNET or size == timm_facts(section.name).size or tried in _FITTING:
        return
    model.eval()
    try:
        with torch.no_grad():
            model(torch.zeros(1, 3, size, size))
    except (AssertionError, RuntimeError) as error:
        raise _wrong_size(section, size, error) from None
    model.train()
    _FITTING.add(tried)


_FITTING: set[tuple[str, str, int, int]] = set()
"""Model, fusion, its size, and the side of pictures: what has passed in this process."""


def _wrong_size(section: ImageModelConfig, size: int, error: Exception) -> ConfigError:
    return ConfigError(
        f"{section.name} cannot be built for pictures of {size} x {size}: {error}",
        remedy=f"Set model.input_size={timm_facts(section.name).size}, the size of its weights, or "
        "another size that it takes.",
    )


def _fuse(
    backbone: nn.Module,
    channels: "tuple[int, ...] | list[int]",
    section: ImageModelConfig,
    classes: int,
) -> nn.Module:
    options = {"fusion_size": section.fusion_size} if section.fusion == "msff" else {}
    fusion = FUSIONS[section.fusion](channels, **options)
    return ImageClassifier(backbone, fusion, classes, section.dropout)


def _conversion(model: nn.Module) -> Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]:
    """Return timm's function that converts published weight files of this architecture."""
    module = sys.modules[type(model).__module__]
    convert = getattr(module, "checkpoint_filter_fn", None)
    if isinstance(model, ImageClassifier) or convert is None:
        return lambda found: found
    return lambda found: cast(Mapping[str, Tensor], convert(dict(found), model))
