"""Post-hoc logit adjustment: correct a trained model for rare classes."""

import numpy as np
import torch
from torch import Tensor

from tunewright.classification.losses.class_weights import class_shares
from tunewright.training.precision import at_least_float32


def adjusted_logits(logits: Tensor, class_counts: Tensor, *, tau: float = 1.0) -> Tensor:
    """Return logits x - tau ln pi: [N, C] -> [N, C], at least float32; pi: training class shares.

    For a model trained with plain cross-entropy; after a loss or sampler that favours rare classes
    it would correct twice. tau 0 changes nothing. class_counts: [C], 0 taken as 1. Source: Menon et
    al., ICLR 2021, section 4.1.
    """
    wide = at_least_float32(logits)
    prior = np.log(class_shares(class_counts.detach().cpu().numpy()))
    return wide - torch.as_tensor(tau * prior, dtype=wide.dtype, device=wide.device)
