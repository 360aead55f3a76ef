"""What every compressor is: two transforms, a prior, and one walk through its latents.

The walk is the same when a model is trained, when a file is written and when it is read: at each
step the model predicts scales and means of some latents from what is known so far, and `take`
gives it their values. Trained, they are rounded with noise; written, rounded and coded; read,
decoded. So writer and reader compute the same numbers by the same operations.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tunewright.recipes.compression.likelihoods import Family, likelihood


class Step(NamedTuple):
    """Latents that are coded at once.

    number: of the step, from 0. grid: which of `Compressor.grids` they lie on. index: int64 [n],
    their places in that grid, [C, h, w] flattened.
    """

    number: int
    grid: int
    index: Tensor


Take = Callable[[Step, Tensor, Tensor], Tensor]
"""From a step, scales [B, n] and means [B, n] to the values of its latents [B, n]."""


class Coded(NamedTuple):
    """What a compressor makes of pictures.

    pictures: [B, 3, H, W], not clamped. likelihoods: [B, n] of each part of the bits: those of the
    latents by grid (`s1`, `s2`, `s3`, or `y` where there is one), and `z`.
    """

    pictures: Tensor
    likelihoods: Mapping[str, Tensor]


class Compressor(nn.Module, ABC):
    """Pictures [B, 3, H, W] in 0 to 1, H and W multiples of `multiple`.

    family: of the latents and hyper-latents. grids: names of the grids on which latents are
    coded, coarse to fine. stride: pixels a latent spans in each direction.
    """

    family: Family
    grids: tuple[str, ...]
    multiple: int
    stride: int
    means_hyper: nn.Parameter  # [1, N, 1, 1]
    scales_hyper: nn.Parameter  # [1, N, 1, 1]

    @abstractmethod
    def analyse(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Latents y [B, M, H / stride, W / stride] and hyper-latents z [B, N, h, w]."""

    @abstractmethod
    def predict(self, z: Tensor) -> Tensor:
        """What the prior begins from, of the quantised hyper-latents: [B, 2 M, ...]."""

    @abstractmethod
    def on_grids(self, y: Tensor) -> tuple[Tensor, ...]:
        """The latents [B, M, h, w] as they lie on each of `grids`."""

    @abstractmethod
    def walk(self, prior: Tensor, take: Take) -> Tensor:
        """Every step of coding the latents; returns them, quantised: [B, M, h, w]."""

    @abstractmethod
    def synthesise(self, y: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] of quantised latents, not clamped."""

    def forward(self, pictures: Tensor) -> Coded:
        """Code without writing: with noise and straight-through rounding in training.

        In evaluation, with the rounding of real files; bits are estimated from likelihoods.
        """
        y, z = self.analyse(pictures)
        residual = z - self.means_hyper
        found = {"z": self._likelihood(residual, self.scales_hyper).flatten(1)}
        prior = self.predict(straight_round(residual) + self.means_hyper)
        grids = [plane.flatten(1) for plane in self.on_grids(y)]
        pieces: dict[str, list[Tensor]] = {name: [] for name in self.grids}

        def take(step: Step, scales: Tensor, means: Tensor) -> Tensor:
            about = grids[step.grid][:, step.index] - means
            pieces[self.grids[step.grid]].append(self._likelihood(about, scales))
            return straight_round(about) + means

        known = self.walk(prior, take)
        found |= {name: torch.cat(parts, 1) for name, parts in pieces.items()}
        return Coded(self.synthesise(known), found)

    def _likelihood(self, about: Tensor, scales: Tensor) -> Tensor:
        if self.training:
            values = about + torch.empty_like(about).uniform_(-0.5, 0.5)
        else:
            values = about.round()
        with torch.autocast(values.device.type, enabled=False):
            return likelihood(values.float(), scales.float(), self.family)


def straight_round(x: Tensor) -> Tensor:
    """Rounded, with the gradient of what was not."""
    return x + (x.round() - x).detach() if x.requires_grad else x.round()
