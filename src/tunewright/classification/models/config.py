"""The configuration of image models and of their fine-tuning. Imports without torch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from tunewright.config.components.part_rates import PartRates
from tunewright.config.section import Count, Fraction, PathText, Positive, Section
from tunewright.errors import ConfigError

COLORNET = "colornet_v1"

Fusion = Literal["msff", "global_concat", "simple_concat", "none"]


class ImageModelConfig(Section):
    """A network from pictures to logits: a backbone, the fusion of its levels, a head.

    name: `colornet_v1` or any model that timm registers (`tunewright models` lists them). fusion:
    how the levels c2 to c5 of the backbone are combined; `none` uses timm's own model with its own
    head. fusion_size: rows and columns to which `msff` resizes every level. dropout: before the
    last layer. drop_path_rate: stochastic depth (null = the model's default). pretrained: weights
    from timm's hub. weights: a safetensors file used instead. sha256: what the file must hash to.
    gradient_checkpointing: recompute activations in the backward pass, for less memory and more
    time. input_size: side of the model's input (null = the model's own if it is fixed, else
    `data.image_size`).
    """

    name: str = COLORNET
    fusion: Fusion = "msff"
    fusion_size: Count = 14
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    drop_path_rate: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    pretrained: bool = False
    weights: PathText | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    gradient_checkpointing: bool = False
    input_size: Count | None = None


class FineTuneConfig(PartRates):
    """How carefully a pretrained network is changed.

    lr_scales: by part of the network (`backbone`, `head`, ...) or pattern of parameter names, a
    factor on its learning rate, beside the others; 0 freezes it for the whole training. unfreeze:
    by part or pattern, the fraction of the training until which it is frozen. layer_decay:
    learning-rate factor from each layer to the one below it (null = the same for all).
    freeze_epochs: number of first epochs that train only the head. freeze_batch_norm: keep the
    statistics, weights and biases of the backbone's batch norms as they are for the whole training,
    as for small batches. head_lr_scale: learning rate of the head relative to `optim.lr`.
    """

    layer_decay: Annotated[Fraction, Field(gt=0.0)] | None = None
    freeze_epochs: Annotated[int, Field(ge=0)] = 0
    freeze_batch_norm: bool = False
    head_lr_scale: Positive = 1.0


def _timm(name: str, **settings: float | int) -> ImageModelConfig:
    return ImageModelConfig(name=name, fusion="none", pretrained=True, **settings)  # type: ignore[arg-type]


SWIN = "swinv2_base_window12to16_192to256.ms_in22k_ft_in1k"

FLOWER_MODELS: Mapping[str, ImageModelConfig] = MappingProxyType(
    {
        "convnext_tiny": _timm("convnext_tiny", drop_path_rate=0.1),
        "convnext_base": _timm("convnext_base", drop_path_rate=0.1),
        "convnext_large": _timm("convnext_large", drop_path_rate=0.2),
        "efficientnet_b3": _timm("efficientnet_b3", drop_path_rate=0.2, dropout=0.3),
        "efficientnet_v2_l": _timm("tf_efficientnetv2_l", drop_path_rate=0.2, dropout=0.3),
        "swin_v2_base": _timm(SWIN, drop_path_rate=0.2, input_size=256),
    }
)
"""The six models of the flower guide by their short names."""

OPTIMIZED_MODELS: Mapping[str, ImageModelConfig] = MappingProxyType(
    {
        "efficientnet_v2_l_optimized": _timm(
            "tf_efficientnetv2_l", drop_path_rate=0.25, dropout=0.3
        ),
        "swin_v2_base_optimized": _timm(SWIN, drop_path_rate=0.3, dropout=0.1, input_size=256),
    }
)
"""The same networks with more regularisation."""


def check_model(section: ImageModelConfig) -> None:
    """Refuse contradictory settings, without building anything. Raises ConfigError."""
    if section.name == COLORNET:
        if section.fusion == "none":
            raise ConfigError(
                f"model.fusion = none with model.name = {COLORNET}",
                expected="msff, global_concat or simple_concat: this backbone has no head",
            )
        if section.drop_path_rate:
            raise ConfigError(
                f"model.drop_path_rate = {section.drop_path_rate} with model.name = {COLORNET}",
                expected="null or 0: ColorNet-V1 has no stochastic depth",
                remedy="Use model.dropout to regularise it.",
            )
        if section.pretrained and section.weights is None:
            raise ConfigError(
                f"model.pretrained = true with model.name = {COLORNET}",
                expected="false: there are no published weights of ColorNet-V1",
                remedy="Use model.weights=FILE for your own.",
            )
    if section.sha256 is not None and section.weights is None:
        raise ConfigError(
            "model.sha256 without model.weights",
            expected="the file that it is the hash of",
            remedy="Set model.weights=FILE, or remove model.sha256.",
        )
