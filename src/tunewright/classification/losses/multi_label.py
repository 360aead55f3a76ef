"""Losses of several labels a picture: logits [B, C] and targets [B, C] of 0 and 1 -> [B].

Every label is a yes or no of its own. The loss of a row is the mean over its labels, so that the
learning rate does not depend on how many there are.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tunewright.classification.losses.losses import ClassLoss
from tunewright.registry import Registry
from tunewright.training.precision import at_least_float32

LOSSES: Registry[Callable[..., ClassLoss]] = Registry("loss")


@LOSSES
def binary_cross_entropy(
    class_counts: Tensor,
    /,
    *,
    positive_weight: float = 1.0,
    label_smoothing: float = 0.0,
) -> ClassLoss:
    """Make the binary cross-entropy of each label, -(w y ln p + (1 - y) ln(1 - p)).

    positive_weight: w, what a present label counts beside an absent one. label_smoothing: targets
    are (1 - e) y + e / 2.
    """
    return BinaryCrossEntropy(
        class_counts, positive_weight=positive_weight, label_smoothing=label_smoothing
    )


@LOSSES
def asymmetric(
    class_counts: Tensor,
    /,
    *,
    gamma_negative: float = 4.0,
    gamma_positive: float = 1.0,
    margin: float = 0.05,
) -> ClassLoss:
    """Make the asymmetric loss, in which absent labels count less the surer the model is.

    That is -(1 - p)^g+ ln p for a present label and -q^g- ln(1 - q) for an absent one, with
    q = max(p - margin, 0). Exponents of 0 and no margin give the binary cross-entropy. Source:
    Ridnik et al., ICCV 2021.
    """
    return AsymmetricLoss(
        class_counts,
        gamma_negative=gamma_negative,
        gamma_positive=gamma_positive,
        margin=margin,
    )


class MultiLabelLoss(ClassLoss):
    """A loss of targets [B, C] that are 0 or 1; all labels weigh alike."""

    def __init__(self, class_counts: Tensor) -> None:
        super().__init__(class_counts, lambda counts, _time: np.ones(len(counts)))


class BinaryCrossEntropy(MultiLabelLoss):
    """The mean over labels of the binary cross-entropy."""

    def __init__(
        self, class_counts: Tensor, *, positive_weight: float = 1.0, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(class_counts)
        self.positive_weight, self.label_smoothing = positive_weight, label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each row: [B, C], [B, C] -> [B], at least float32."""
        wide = at_least_float32(logits)
        targets = labels.to(wide) * (1.0 - self.label_smoothing) + self.label_smoothing / 2
        # ln p = logsigmoid(x) and ln(1 - p) = logsigmoid(-x), exact for logits of any size.
        present = self.positive_weight * targets * F.logsigmoid(wide)
        return -(present + (1.0 - targets) * F.logsigmoid(-wide)).mean(1)


class AsymmetricLoss(MultiLabelLoss):
    """The mean over labels of the asymmetric loss."""

    def __init__(
        self,
        class_counts: Tensor,
        *,
        gamma_negative: float,
        gamma_positive: float,
        margin: float,
    ) -> None:
        super().__init__(class_counts)
        self.gamma_negative, self.gamma_positive = gamma_negative, gamma_positive
        self.margin = margin

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each row: [B, C], [B, C] -> [B], at least float32."""
        wide = at_least_float32(logits)
        targets, tiny = labels.to(wide), torch.finfo(wide.dtype).tiny
        # The clamps keep the slopes of powers below 1 finite at 0.
        doubt = torch.sigmoid(-wide).clamp(min=tiny)
        shifted = (torch.sigmoid(wide) - self.margin).clamp(min=tiny)
        # Without a margin ln(1 - q) is logsigmoid(-x), exact for large x.
        absent_log = torch.log1p(-shifted) if self.margin else F.logsigmoid(-wide)
        present = targets * doubt**self.gamma_positive * F.logsigmoid(wide)
        absent = (1.0 - targets) * shifted**self.gamma_negative * absent_log
        return -(present + absent).mean(1)
