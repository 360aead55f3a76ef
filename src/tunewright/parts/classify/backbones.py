"""Any backbone with any fusion, or timm's own model, from one section of the configuration."""

from collections.abc import Callable

from torch import nn

from tunewright.parts.classify.model_config import ImageModel


def input_size(section: ImageModel, image_size: int) -> int:
    """The side of the pictures that the model is run at.

    Raises ConfigError for a size that a model of one fixed size cannot take.
    """
    raise NotImplementedError


def make_image_model(
    section: ImageModel,
    classes: int,
    *,
    image_size: int = 224,
    told: Callable[[str], None] = print,
) -> nn.Module:
    """Pictures [B, 3, S, S] to logits [B, classes], with the weights that the section asks for.

    image_size: side of the data's pictures, for models that are built for one size. told: gets
    what happened to the weights, a sentence each. Raises ConfigError.
    """
    raise NotImplementedError
