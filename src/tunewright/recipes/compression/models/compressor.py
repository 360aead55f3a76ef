"""The base of all compressors: two transforms, a prior, and one loop that codes the latents.

The loop is the same in training, in writing a file and in reading it. At each step the model
predicts scales and means of some latents from the known ones, and the callback `code_step` returns
their values: rounded (training), rounded and encoded (writing), or decoded (reading). So writer
and reader compute the same numbers by the same operations.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tunewright.recipes.compression.models.gather import gather
from tunewright.recipes.compression.models.likelihoods import Family, likelihood

PARTS = ("g_a", "g_s", "h_a", "h_s", "context", "entropy")
"""The parts of a compressor that fine-tuning names."""
ENTROPY = {"means_hyper": "entropy", "scales_hyper": "entropy"}


@dataclass(frozen=True, eq=False)
class CodingStep:
    """Latents that are coded together.

    number: of the step, from 0. grid: which of `Compressor.grids` they lie on. index: int64 [n],
    their places in that grid, [C, h, w] flattened.
    """

    number: int
    grid: int
    index: Tensor


LatentCoder = Callable[[CodingStep, Tensor, Tensor], Tensor]
"""From a step, scales [B, n] and means [B, n] to the values of its latents [B, n]."""


class CodedLatents(NamedTuple):
    """The output of a compressor.

    pictures: [B, 3, H, W], not clamped. likelihoods: [B, n] of each part of the bits: those of the
    latents by grid (`s1`, `s2`, `s3`, or `y` where there is one), and `z`.
    """

    pictures: Tensor
    likelihoods: Mapping[str, Tensor]


class Compressor(nn.Module, ABC):
    """Pictures [B, 3, H, W] in 0 to 1, H and W multiples of `multiple`.

    family: of the latents and hyper-latents. grids: names of the grids on which latents are
    coded, coarse to fine. stride: pixels a latent spans in each direction. g_a, g_s: analysis and
    synthesis; h_a, h_s: those of the hyper-latents, as in Ballé et al. 2018.
    """

    family: Family
    grids: tuple[str, ...]
    multiple: int
    stride: int
    g_a: nn.Sequential
    g_s: nn.Sequential
    h_a: nn.Sequential
    h_s: nn.Sequential
    means_hyper: nn.Parameter  # [1, N, 1, 1]
    scales_hyper: nn.Parameter  # [1, N, 1, 1]

    def parts(self) -> dict[str, list[str]]:
        """Return the names of the parameters of each part: transforms, context and entropy model.

        The context predicts latents from others that are known; a hyperprior alone has none.
        """
        found: dict[str, list[str]] = {part: [] for part in PARTS}
        for name, _ in self.named_parameters():
            child = name.partition(".")[0]
            found[ENTROPY.get(child, child if child in found else "context")].append(name)
        return {part: names for part, names in found.items() if names}

    @property
    def hyper_stride(self) -> int:
        """Pixels a hyper-latent spans in each direction: the hyper transforms halve twice."""
        return 4 * self.stride

    def analyse(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Latents y [B, M, H / stride, W / stride] and hyper-latents z [B, N, h, w]."""
        y = self.g_a(_to_channels_last(pictures))
        return y, self.h_a(y)

    def predict(self, z: Tensor) -> Tensor:
        """Return scales, then means [B, 2 M, ...] from the quantised hyper-latents."""
        prior: Tensor = self.h_s(z.to(self.means_hyper.dtype))
        return prior

    def synthesise(self, y: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] of quantised latents, not clamped."""
        pictures: Tensor = self.g_s(_to_channels_last(y.to(self.means_hyper.dtype)))
        return pictures

    @abstractmethod
    def on_grids(self, y: Tensor) -> tuple[Tensor, ...]:
        """Return the part of the latents [B, M, h, w] that lies on each of `grids`."""

    @abstractmethod
    def code_latents(self, prior: Tensor, code_step: LatentCoder) -> Tensor:
        """Do every coding step; return the quantised latents [B, M, h, w]."""

    def forward(self, pictures: Tensor) -> CodedLatents:
        """Code without writing a file; bits are estimated from likelihoods.

        Training uses straight-through rounding, with noise in the likelihoods; evaluation rounds as
        real files do. Rounding and likelihoods are never in half precision, even under autocast.
        """
        y, z = self.analyse(pictures)
        exact = torch.promote_types(z.dtype, torch.float32)
        residual = z.to(exact) - self.means_hyper
        grids = [plane.to(exact).flatten(1) for plane in self.on_grids(y)]
        names, abouts = ["z"], [residual.flatten(1)]
        every_scale = [self.scales_hyper.to(exact).expand_as(residual).flatten(1)]

        def code_step(step: CodingStep, scales: Tensor, means: Tensor) -> Tensor:
            means = means.to(exact)
            about = gather(grids[step.grid], step.index) - means
            names.append(self.grids[step.grid])
            abouts.append(about)
            every_scale.append(scales.to(exact))
            return straight_round(about) + means

        known = self.code_latents(
            self.predict(straight_round(residual) + self.means_hyper), code_step
        )
        # All steps at once: eleven small computations cost more than one large one.
        found = self._likelihood(torch.cat(abouts, 1), torch.cat(every_scale, 1))
        parts: dict[str, list[Tensor]] = {}
        for name, part in zip(names, found.split([a.shape[1] for a in abouts], 1), strict=True):
            parts.setdefault(name, []).append(part)
        return CodedLatents(
            self.synthesise(known), {name: torch.cat(part, 1) for name, part in parts.items()}
        )

    def _likelihood(self, about: Tensor, scales: Tensor) -> Tensor:
        if self.training:
            values = about + torch.empty_like(about).uniform_(-0.5, 0.5)
        else:
            values = about.round()
        return likelihood(values, scales, self.family)


def _to_channels_last(x: Tensor) -> Tensor:
    """Convert to channels last on a CPU, which saves 25 to 50 % of the transforms' time."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


def channel_priors(channels: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Make means 0 and scales 1 of the hyper-latents: [1, channels, 1, 1] each."""
    shape = (1, channels, 1, 1)
    return nn.Parameter(torch.zeros(shape)), nn.Parameter(torch.ones(shape))


@torch.no_grad()
def init_wide_latents(analysis: nn.Sequential, synthesis: nn.Sequential) -> None:
    """Scale up the initial weights, so that latents of photographs have a deviation of about 1.

    PyTorch's initialisation divides the variance by 3 in each layer; with it, every latent is
    rounded to 0 for the first hundreds of steps. So each layer is scaled by sqrt(3), and the last
    layer of the analysis by another factor of 4.
    """
    layers = [
        layer
        for layer in (*analysis, *synthesis)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]
    for layer in layers:
        layer.weight.mul_(3**0.5)
    last = analysis[-1]
    assert isinstance(last, nn.Conv2d)
    last.weight.mul_(4.0)


def straight_round(x: Tensor) -> Tensor:
    """Round to whole numbers, with the gradient of the identity (straight-through)."""
    return _StraightRound.apply(x)  # type: ignore[no-any-return]


class _StraightRound(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        return grads[0]
