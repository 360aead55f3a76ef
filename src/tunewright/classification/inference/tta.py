"""Test-time augmentation: average predictions over views, and measure whether it helps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tunewright.classification.inference.tta_views import Mean, View
from tunewright.classification.metrics.intervals import Difference, bootstrap_differences
from tunewright.classification.metrics.multi_label import label_scores, map_difference


def apply_view(images: Tensor, view: View) -> Tensor:
    """Return the pictures, uint8 [B, 3, S, S], as `view` shows them; uint8 again.

    Rotated pictures are sampled bilinearly, with reflected borders, as in training.
    """
    if view.hflip:
        images = images.flip(3)
    if view.vflip:
        images = images.flip(2)
    if view.degrees:
        images = _rotate(images, view.degrees)
    if view.brightness != 1.0:
        images = (images.float() * view.brightness).round_().clamp_(0.0, 255.0).to(torch.uint8)
    return images


def _rotate(images: Tensor, degrees: float) -> Tensor:
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    # Maps each target pixel to its source; the y axis points down, so at 90 degrees the target
    # (1, 0) reads the source (0, 1).
    matrix = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]], device=images.device)
    grid = F.affine_grid(matrix.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    turned = F.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return turned.round_().clamp_(0.0, 255.0).to(torch.uint8)


def average_views(logits: Tensor, mean: Mean = "logits") -> Tensor:
    """Average the predictions of all views: [V, N, C] to log-scores [N, C].

    By the mean of logits, or the logarithm of the mean of probabilities. A single view is not
    changed.
    """
    if len(logits) == 1:
        return logits[0]
    if mean == "logits":
        return logits.mean(0)
    return torch.logsumexp(logits.log_softmax(2), 0) - math.log(len(logits))


def average_label_views(logits: Tensor, mean: Mean = "logits") -> Tensor:
    """Average what all views say of each label: [V, N, C] to logits [N, C], each a yes or no.

    By the mean of logits, or the logit of the mean of probabilities.
    """
    if len(logits) == 1 or mean == "logits":
        return logits.mean(0)
    # logit p = ln p - ln(1 - p); the number of views cancels.
    return torch.logsumexp(F.logsigmoid(logits), 0) - torch.logsumexp(F.logsigmoid(-logits), 0)


@dataclass(frozen=True)
class ViewGains:
    """How views change a score on the validation set, each alone and all together.

    metric: `accuracy`, or `map` where a picture may have several labels. plain: without views.
    alone: with that one view besides the picture, by its name. together: with all. gains: how much
    higher each of `alone` and `all` is than `plain`, paired.
    """

    plain: float
    alone: Mapping[str, float]
    together: float
    gains: Mapping[str, Difference]
    metric: str = "accuracy"

    @property
    def harmful(self) -> tuple[str, ...]:
        """Views whose whole interval is below 0; `all` if that is true of all together.

        A lower score within the error of the measurement does not count.
        """
        return tuple(name for name, gain in self.gains.items() if gain.high < 0)

    @property
    def lower(self) -> tuple[str, ...]:
        """Views that lower the score, but within the error of the measurement."""
        return tuple(name for name, gain in self.gains.items() if gain.value < 0 <= gain.high)


def judge(scores: Mapping[str, Tensor], labels: Tensor, class_counts: Tensor) -> ViewGains:
    """Compare views by their log-scores.

    scores: [N, C] by what was averaged: `image`, each other view (averaged with the image), and
    `all`. labels: [N], or bool [N, C] where a picture may have several. class_counts: [C] training
    pictures.
    """
    if labels.ndim == 2:
        return _judge_labels(scores, labels)
    said = {name: found.argmax(1).cpu().numpy() for name, found in scores.items()}
    truth, counts = labels.cpu().numpy(), class_counts.cpu().numpy()
    accuracy = {name: float((found == truth).mean()) for name, found in said.items()}
    gains = {
        name: bootstrap_differences(truth, found, said["image"], counts)["accuracy"]
        for name, found in said.items()
        if name != "image"
    }
    alone = {name: accuracy[name] for name in scores if name not in ("image", "all")}
    return ViewGains(accuracy["image"], alone, accuracy["all"], gains)


def _judge_labels(scores: Mapping[str, Tensor], labels: Tensor) -> ViewGains:
    targets = labels.bool().cpu().numpy()
    found = {name: each.double().cpu().numpy() for name, each in scores.items()}
    map_of = {name: label_scores(targets, each, each >= 0.0)["map"] for name, each in found.items()}
    gains = {
        name: map_difference(targets, each, found["image"])
        for name, each in found.items()
        if name != "image"
    }
    alone = {name: map_of[name] for name in scores if name not in ("image", "all")}
    return ViewGains(map_of["image"], alone, map_of["all"], gains, "map")


def sets_to_judge(views: Sequence[View]) -> dict[str, list[int]]:
    """Return which views (by index, the picture itself is 0) make each entry of `judge`."""
    sets = {"image": [0], "all": list(range(len(views)))}
    return sets | {view.name: [0, index] for index, view in enumerate(views) if index}
