"""Picture encoders by name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image

from tunewright.errors import DataError, did_you_mean
from tunewright.recipes.pairs.encoders.classical import (
    Floats,
    Mask,
    picture_features,
    reduce_features,
)
from tunewright.registry import Registry

OFFLINE = (
    "Pretrained weights are downloaded on first use: connect to the network once, or choose the "
    "encoder 'classical', which needs no download."
)


@dataclass(frozen=True)
class PictureEncoder:
    """An encoder in three steps, so that pictures are decoded while others are encoded.

    prepare: from one RGB picture to an array, called in threads. encode: from the prepared arrays,
    in order, to features [N, F]. finish: from features and the mask [N] of the rows to fit on, to
    embeddings [N, D].
    """

    prepare: Callable[[Image.Image], Floats]
    encode: Callable[[Iterator[Floats]], Floats]
    finish: Callable[[Floats, Mask], Floats]


PICTURE_ENCODERS: Registry[Callable[..., PictureEncoder]] = Registry("picture encoder")


@PICTURE_ENCODERS
def classical(*, dimensions: int = 512) -> PictureEncoder:
    """Embed by gradient and colour histograms: offline, in seconds, fitted on the train rows."""
    return PictureEncoder(
        prepare=picture_features,
        encode=lambda features: np.stack(list(features)),
        finish=lambda features, fit: reduce_features(features, fit, dimensions=dimensions),
    )


@PICTURE_ENCODERS
def timm(*, model: str = "convnext_tiny.fb_in22k", batch_size: int = 64) -> PictureEncoder:
    """Embed by a pretrained timm model without its classifier, on the GPU if there is one.

    Raises DataError for an unknown model and when its weights cannot be loaded.
    """
    import timm
    import torch

    from tunewright.training.device import default_device

    if not timm.is_model(model):
        raise DataError(
            f"the timm model {model!r}",
            expected="a name from timm.list_models(pretrained=True)",
            remedy=did_you_mean(model, timm.list_models(pretrained=True)),
        )
    try:
        network = timm.create_model(model, pretrained=True, num_classes=0)
    except Exception as error:  # the hub's clients raise whatever their transport raises
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(
            f"the weights of {model!r} could not be loaded ({reason})", remedy=OFFLINE
        ) from error
    device = default_device()
    network = network.to(device).eval()
    data: Any = timm.data
    transform = data.create_transform(**data.resolve_model_data_config(network))

    def encode(prepared: Iterator[Floats]) -> Floats:
        features = []
        with torch.inference_mode():
            while batch := list(islice(prepared, batch_size)):
                pixels = torch.from_numpy(np.stack(batch)).to(device)  # [B, 3, H, W]
                features.append(network(pixels).float().cpu().numpy())
        return np.concatenate(features)

    return PictureEncoder(
        prepare=lambda picture: transform(picture).numpy(),
        encode=encode,
        finish=lambda features, _: features,
    )
