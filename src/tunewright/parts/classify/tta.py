"""Test-time augmentation: other views of the same pictures, averaged, and whether they help."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tunewright.parts.classify.views import Mean, View


def seen(images: Tensor, view: View) -> Tensor:
    """The pictures, uint8 [B, 3, S, S], as `view` shows them; uint8 again.

    A turned picture is sampled bilinearly, and what it uncovers is reflected, as in training.
    """
    if view.hflip:
        images = images.flip(3)
    if view.vflip:
        images = images.flip(2)
    if view.degrees:
        images = _turned(images, view.degrees)
    if view.brightness != 1.0:
        images = (images.float() * view.brightness).round_().clamp_(0.0, 255.0).to(torch.uint8)
    return images


def _turned(images: Tensor, degrees: float) -> Tensor:
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    # From where in the source each target pixel comes; the y axis points down.
    matrix = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]], device=images.device)
    grid = F.affine_grid(matrix.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    turned = F.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return turned.round_().clamp_(0.0, 255.0).to(torch.uint8)


def averaged(logits: Tensor, mean: Mean = "logits") -> Tensor:
    """One prediction from those of all views: [V, N, C] to log-scores [N, C].

    The mean of logits, or the logarithm of the mean of probabilities. One view stays as it is.
    """
    if len(logits) == 1:
        return logits[0]
    if mean == "logits":
        return logits.mean(0)
    return torch.logsumexp(logits.log_softmax(2), 0) - math.log(len(logits))


@dataclass(frozen=True)
class Judged:
    """What views do to the accuracy on the validation set, for each alone and for all together.

    plain: of the picture itself. alone: of the picture with that one view, by its name.
    together: of all. right, right_plain: which rows are then right, bool [N].
    """

    plain: float
    alone: Mapping[str, float]
    together: float
    right: Tensor
    right_plain: Tensor

    @property
    def harmful(self) -> tuple[str, ...]:
        """Views that lower the accuracy, each averaged with the picture alone."""
        return tuple(name for name, accuracy in self.alone.items() if accuracy < self.plain)

    @property
    def gain(self) -> float:
        """By how much all together raise the accuracy."""
        return self.together - self.plain


def judge(scores: Mapping[str, Tensor], labels: Tensor) -> Judged:
    """Compare views by their log-scores.

    scores: [N, C] by what was averaged: `image`, each other view (averaged with the image), and
    `all`. labels: [N].
    """
    right = {name: found.argmax(1) == labels for name, found in scores.items()}
    accuracy = {name: float(hits.double().mean()) for name, hits in right.items()}
    alone = {name: accuracy[name] for name in scores if name not in ("image", "all")}
    return Judged(accuracy["image"], alone, accuracy["all"], right["all"], right["image"])


def sets_to_judge(views: Sequence[View]) -> dict[str, list[int]]:
    """Which views (by index, the picture itself is 0) are averaged for each name of `judge`."""
    sets = {"image": [0], "all": list(range(len(views)))}
    return sets | {view.name: [0, index] for index, view in enumerate(views) if index}
