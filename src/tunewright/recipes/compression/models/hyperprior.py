"""Mean-scale hyperprior, the baseline: all latents are coded at once, from hyper-latents alone.

Source: Minnen, Ballé & Toderici, "Joint Autoregressive and Hierarchical Priors for Learned Image
Compression", NeurIPS 2018, without its context model. As in CompressAI's `mbt2018-mean` the
convolutions are 5 x 5 with GDN between them. Hyper-latents have a mean and a scale a channel, as
HPCM's have, in place of the factorised density of the paper: it needs neither an auxiliary loss
nor tables of its own. First weights are wider than PyTorch's, so that latents begin about 1 wide.
"""

import torch
from torch import Tensor, nn

from tunewright.recipes.compression.models.blocks import SLOPE
from tunewright.recipes.compression.models.compressor import (
    CodingStep,
    Compressor,
    LatentCoder,
    channel_priors,
    init_wide_latents,
)
from tunewright.recipes.compression.models.gdn import Gdn
from tunewright.recipes.compression.models.likelihoods import GAUSSIAN


class MeanScaleHyperprior(Compressor):
    """Pictures to latents at stride 16 to hyper-latents at stride 64, and back.

    channels: of the transforms and of the hyper-latents. latent: of the latents.
    """

    family = GAUSSIAN
    grids = ("y",)
    multiple = 64
    stride = 16

    def __init__(self, channels: int, latent: int) -> None:
        super().__init__()
        self.g_a = nn.Sequential(
            _down(3, channels),
            Gdn(channels),
            _down(channels, channels),
            Gdn(channels),
            _down(channels, channels),
            Gdn(channels),
            _down(channels, latent),
        )
        self.g_s = nn.Sequential(
            _up(latent, channels),
            Gdn(channels, inverse=True),
            _up(channels, channels),
            Gdn(channels, inverse=True),
            _up(channels, channels),
            Gdn(channels, inverse=True),
            _up(channels, 3),
        )
        self.h_a = nn.Sequential(
            nn.Conv2d(latent, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            _down(channels, channels),
            nn.LeakyReLU(SLOPE, inplace=True),
            _down(channels, channels),
        )
        between = latent * 3 // 2
        self.h_s = nn.Sequential(
            _up(channels, latent),
            nn.LeakyReLU(SLOPE, inplace=True),
            _up(latent, between),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(between, 2 * latent, 3, padding=1),
        )
        self.means_hyper, self.scales_hyper = channel_priors(channels)
        init_wide_latents(self.g_a, self.g_s)

    def on_grids(self, y: Tensor) -> tuple[Tensor, ...]:
        """Return the latents, on their one grid."""
        return (y,)

    def code_latents(self, prior: Tensor, code_step: LatentCoder) -> Tensor:
        """Code every latent in one step."""
        scales, means = prior.chunk(2, 1)
        index = torch.arange(means[0].numel(), device=prior.device)
        return code_step(CodingStep(0, 0, index), scales.flatten(1), means.flatten(1)).reshape(
            means.shape
        )


def _down(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 5, stride=2, padding=2)


def _up(before: int, after: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1)
