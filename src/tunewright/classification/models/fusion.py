"""Fuse the four levels of a backbone into one vector: the three fusions of the guide."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunewright.registry import Registry

FUSIONS: Registry[Callable[..., nn.Module]] = Registry("fusion")

WIDTH = 256


@FUSIONS
def msff(channels: Sequence[int], /, *, fusion_size: int = 14) -> nn.Module:
    """Resize all levels to one size, fuse them by two convolutions, average over the picture.

    channels: of c2 to c5. Levels -> [B, 256]. fusion_size: rows and columns of every level. Source:
    multi-scale feature fusion, after Hu et al. 2023 (SMNN-MSFF).
    """
    return MultiScaleFusion(channels, fusion_size)


@FUSIONS
def global_concat(channels: Sequence[int], /) -> nn.Module:
    """Concatenate the means of c3, c4 and c5: levels -> [B, c3 + c4 + c5 channels]."""
    return MeansOfLevels(channels, first=1)


@FUSIONS
def simple_concat(channels: Sequence[int], /) -> nn.Module:
    """Return the mean of c5 alone, despite its name in the guide: levels -> [B, c5 channels]."""
    return MeansOfLevels(channels, first=3)


class MultiScaleFusion(nn.Module):
    """The module of `msff`, with `width` output features."""

    width = WIDTH

    def __init__(self, channels: Sequence[int], size: int) -> None:
        super().__init__()
        self.size = size
        self.laterals = nn.ModuleList(nn.Conv2d(channel, WIDTH, 1) for channel in channels)
        self.join = nn.Sequential(
            nn.Conv2d(WIDTH * len(channels), WIDTH, 3, padding=1),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(inplace=True),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(inplace=True),
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Fuse levels [B, C, H, W] to [B, 256]."""
        sized = [
            F.interpolate(
                lateral(level), size=(self.size, self.size), mode="bilinear", align_corners=False
            )
            for lateral, level in zip(self.laterals, levels, strict=True)
        ]
        joined: Tensor = self.join(torch.cat(sized, dim=1))  # [B, 256, size, size]
        return joined.mean(dim=(2, 3))


class MeansOfLevels(nn.Module):
    """Average the levels from `first` on over the picture; `width` output features."""

    def __init__(self, channels: Sequence[int], *, first: int) -> None:
        super().__init__()
        self.first, self.width = first, sum(channels[first:])

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Fuse levels [B, C, H, W] to [B, width]."""
        return torch.cat([level.mean(dim=(2, 3)) for level in levels[self.first :]], dim=1)
