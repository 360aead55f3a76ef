"""A cosine classifier, for losses with margins such as `ldam`."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tunewright.errors import ConfigError
from tunewright.training.precision import at_least_float32


class NormalisedLinear(nn.Module):
    """Logits scale * cos(x, w_c): features [..., F] -> logits [..., C], without a bias.

    Source: Cao et al., NeurIPS 2019 (their `NormedLinear`, including the loss's scale).
    """

    def __init__(self, in_features: int, out_features: int, *, scale: float) -> None:
        super().__init__()
        self.in_features, self.out_features, self.scale = in_features, out_features, scale
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        nn.init.normal_(self.weight)  # only directions count: uniform on the sphere

    def forward(self, features: Tensor) -> Tensor:
        """Return logits in [-scale, scale]."""
        wide = at_least_float32(features)
        weight = self.weight.to(wide.dtype)  # it may be float16 too
        return self.scale * F.linear(F.normalize(wide, dim=-1), F.normalize(weight, dim=-1))

    def extra_repr(self) -> str:
        """Return what `print(model)` shows of this layer."""
        return f"{self.in_features}, {self.out_features}, scale={self.scale:g}"


def normalise_classifier(model: nn.Module, classes: int, *, scale: float) -> None:
    """Replace the last linear layer with `classes` outputs by a `NormalisedLinear`.

    The directions of its weights stay, its bias is dropped. Call it on a new model, and again
    before loading weights of such a model. Raises ConfigError if there is no such layer.
    """
    found = [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == classes
    ]
    if not found:
        raise ConfigError(
            "loss.type=ldam with a model whose classifier is not a linear layer",
            expected=f"a last layer Linear(..., {classes})",
            remedy="Choose another model, or loss.type=logit_adjustment.",
        )
    name, linear = found[-1]
    normalised = NormalisedLinear(linear.in_features, classes, scale=scale).to(linear.weight)
    normalised.weight = nn.Parameter(linear.weight.detach())
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, normalised)
