"""Losses of several labels a picture: logits [B, C] and targets [B, C] of 0 and 1 -> [B].

Every label is a yes or no of its own. The loss of a row is the mean over its labels, so that the
learning rate does not depend on how many there are.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over labels of the binary cross-entropy, [B], at least float32."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    each = F.binary_cross_entropy_with_logits(logits, targets.to(logits), reduction="none")
    return each.mean(1)


def asymmetric(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma_negative: float = 4.0,
    gamma_positive: float = 1.0,
    margin: float = 0.05,
) -> Tensor:
    """Return the asymmetric loss of each row, [B], at least float32.

    Absent labels, which are most of them, count less the surer the model is: -(1 - p)^g+ ln p for a
    present one, -q^g- ln(1 - q) for an absent one, q = max(p - margin, 0). With exponents 0 and no
    margin it is the binary cross-entropy. gamma_negative, gamma_positive: the exponents. margin:
    absent labels below this probability count nothing. Source: Ridnik et al., ICCV 2021.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    targets = targets.to(logits)
    present = logits.sigmoid()
    shifted = (present - margin).clamp(min=0.0)
    # ln(1 - q) of a shifted probability; without margin it is logsigmoid(-x), exact for large x.
    absent_log = torch.log1p(-shifted) if margin else F.logsigmoid(-logits)
    of_present = targets * (1.0 - present).pow(gamma_positive) * F.logsigmoid(logits)
    of_absent = (1.0 - targets) * shifted.pow(gamma_negative) * absent_log
    return -(of_present + of_absent).mean(1)
