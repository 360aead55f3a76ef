"""How the four levels of a backbone become one vector: the three fusions of the guide."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunewright.registry import Registry

FUSIONS: Registry[Callable[..., nn.Module]] = Registry("fusion")

WIDTH = 256


@FUSIONS
def msff(channels: Sequence[int], /, *, fusion_size: int = 14) -> nn.Module:
    """All levels at one size, joined by two convolutions, then averaged over the picture.

    channels: of c2 to c5. Levels -> [B, 256]. fusion_size: rows and columns of every level.
    Source: multi-scale feature fusion, after Hu et al. 2023 (SMNN-MSFF).
    """
    return MultiScaleFusion(channels, fusion_size)


@FUSIONS
def global_concat(channels: Sequence[int], /) -> nn.Module:
    """The means of c3, c4 and c5 beside each other: levels -> [B, c3 + c4 + c5 channels]."""
    return MeansOfLevels(channels, first=1)


@FUSIONS
def simple_concat(channels: Sequence[int], /) -> nn.Module:
    """The mean of c5 alone, whatever the name says: levels -> [B, c5 channels]."""
    return MeansOfLevels(channels, first=3)


class MultiScaleFusion(nn.Module):
    """What `msff` makes; `width` numbers a picture come out."""

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
        """[B, C, H, W] a level -> [B, 256]."""
        sized = [
            F.interpolate(
                lateral(level), size=(self.size, self.size), mode="bilinear", align_corners=False
            )
            for lateral, level in zip(self.laterals, levels, strict=True)
        ]
        joined: Tensor = self.join(torch.cat(sized, dim=1))  # [B, 256, size, size]
        return joined.mean(dim=(2, 3))


class MeansOfLevels(nn.Module):
    """The levels from `first` on, each averaged over the picture; `width` numbers come out."""

    def __init__(self, channels: Sequence[int], *, first: int) -> None:
        super().__init__()
        self.first, self.width = first, sum(channels[first:])

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """[B, C, H, W] a level -> [B, width]."""
        return torch.cat([level.mean(dim=(2, 3)) for level in levels[self.first :]], dim=1)
