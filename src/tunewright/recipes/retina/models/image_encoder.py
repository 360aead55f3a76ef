"""The shared image encoder: a backbone of timm and one linear map into the shared space."""

from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

from tunewright.errors import ConfigError
from tunewright.recipes.retina.config import TripartiteConfig
from tunewright.recipes.retina.models.encoder_names import VisionShape, vision_shape


class ImageEncoder(nn.Module):
    """A backbone and a linear map without bias: pictures [N, 3, S, S] -> [N, embed_dim]."""

    def __init__(self, backbone: nn.Module, embed_dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        width = cast(int, getattr(backbone, "head_hidden_size", backbone.num_features))
        self.projection = nn.Linear(width, embed_dim, bias=False)
        nn.init.normal_(self.projection.weight, std=self.projection.in_features**-0.5)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the vector of each picture, not normalised: [N, embed_dim]."""
        return cast(Tensor, self.projection(self.backbone(pictures)))


def make_image_encoder(section: TripartiteConfig, image_size: int) -> ImageEncoder:
    """Build the image encoder of a configuration for pictures of a size.

    Raises ConfigError for what the backbone cannot do: another size, patches left out, activations
    computed again, or published weights that are not here.
    """
    shape = vision_shape(section.vision)
    options: dict[str, Any] = {}
    built_for_one_size = "vit" in shape.timm or shape.timm == "resnet50_clip"
    if built_for_one_size and image_size != shape.side:
        options["img_size"] = image_size
    if section.mask_ratio:
        options["patch_drop_rate"] = section.mask_ratio
    name = f"{shape.timm}.{shape.weights}" if section.pretrained and shape.weights else shape.timm
    try:
        backbone = _create(name, section.pretrained, options)
    except TypeError:
        raise ConfigError(
            f"model.mask_ratio = {section.mask_ratio} with model.vision = {section.vision}",
            expected="0: only image encoders of patches can leave some out",
        ) from None
    except (OSError, RuntimeError) as error:
        if not section.pretrained:
            raise
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"the published weights of model.vision = {section.vision} cannot be loaded ({reason})",
            remedy="Set model.pretrained=false, or begin from a file: model.weights=FILE.",
        ) from None
    if image_size != shape.side:
        _check_size(backbone, image_size, section.vision, shape)
    if section.grad_checkpointing:
        _checkpoint(backbone, section, shape)
    return ImageEncoder(backbone, section.embed_dim or shape.embed_dim)


def _create(name: str, pretrained: bool, options: dict[str, Any]) -> nn.Module:
    """Build a model of timm, without `img_size` where it takes any size and has no such option."""
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    except TypeError:
        if "img_size" not in options:
            raise
    rest = {key: value for key, value in options.items() if key != "img_size"}
    return timm.create_model(name, pretrained=pretrained, num_classes=0, **rest)


def _check_size(backbone: nn.Module, size: int, vision: str, shape: VisionShape) -> None:
    """Refuse pictures of a size that the backbone cannot take; timm notices it at the first one."""
    training, device = backbone.training, next(backbone.parameters()).device
    try:
        with torch.no_grad():
            backbone.eval()(torch.zeros(1, 3, size, size, device=device))
    except (AssertionError, RuntimeError) as error:
        raise ConfigError(
            f"model.vision = {vision} cannot take pictures of {size} pixels "
            f"({str(error).rstrip('.')})",
            remedy=f"Set data.image_size={shape.side}.",
        ) from None
    finally:
        backbone.train(training)


def _checkpoint(backbone: Any, section: TripartiteConfig, shape: VisionShape) -> None:
    try:
        backbone.set_grad_checkpointing(True)
    except (AttributeError, AssertionError):
        raise ConfigError(
            f"model.grad_checkpointing = true with model.vision = {section.vision}",
            expected=f"false: timm cannot recompute the activations of {shape.timm}",
        ) from None
