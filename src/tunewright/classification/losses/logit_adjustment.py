"""Post-hoc logit adjustment: correct a trained model for rare classes."""

import numpy as np
import torch
from torch import Tensor

from tunewright.classification.losses.class_weights import class_shares


def adjusted_logits(logits: Tensor, class_counts: Tensor, *, tau: float = 1.0) -> Tensor:
    """Return logits x - tau ln pi: [N, C] -> [N, C], at least float32; pi: training class shares.

    For a model trained with plain cross-entropy; after a loss or sampler that favours rare classes
    it would correct twice. tau 0 changes nothing. class_counts: [C], 0 taken as 1. Source: Menon et
    al., ICLR 2021, section 4.1.
    """
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    prior = np.log(class_shares(class_counts.detach().cpu().numpy()))
    return wide - torch.as_tensor(tau * prior, dtype=wide.dtype, device=wide.device)
