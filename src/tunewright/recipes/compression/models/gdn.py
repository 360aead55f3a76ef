"""Generalised divisive normalisation: each channel divided by the energy of all at its place.

Source: Ballé, Laparra & Simoncelli, "Density Modeling of Images Using a Generalized
Normalization Transformation", ICLR 2016.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunewright.recipes.compression.models.likelihoods import lower_bound

PEDESTAL = 2.0**-36
"""Added under the root by which parameters are stored, so that its gradient stays finite at 0."""
BETA_BOUND = 1e-6
FIRST_GAMMA = 0.1


class Gdn(nn.Module):
    """The layer x_i / sqrt(beta_i + sum_j gamma_ij x_j^2); x: [B, channels, H, W].

    beta >= 1e-6 and gamma >= 0 are stored as roots; at a bound, gradients that raise them pass.
    inverse: multiply by the root, as the synthesis does.
    """

    def __init__(self, channels: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta = nn.Parameter((torch.ones(channels) + PEDESTAL).sqrt())
        gamma = FIRST_GAMMA * torch.eye(channels)
        self.gamma = nn.Parameter((gamma + PEDESTAL).sqrt())

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x; the result has its shape, and the precision of the parameters."""
        beta = lower_bound(self.beta, (BETA_BOUND + PEDESTAL) ** 0.5) ** 2 - PEDESTAL
        gamma = lower_bound(self.gamma, PEDESTAL**0.5) ** 2 - PEDESTAL
        # Squares overflow float16, and a root near 0 exceeds the precision of bfloat16.
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(beta.dtype)
            energy = F.conv2d(x * x, gamma[..., None, None], beta)
            return x * (energy.sqrt() if self.inverse else energy.rsqrt())
