"""ColorNet-V1: a small convolutional backbone of mobile inverted bottlenecks, 1.5 M weights.

It returns four levels, c2 to c5, at strides 4, 8, 16 and 32. Initialisation is PyTorch's default.
"""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

STEM = 32
STAGES = ((48, 1), (64, 2), (96, 3), (160, 3))
"""Channels and blocks of stage1 to stage4."""
EXPANSION = 4
"""Hidden channels of a block per input channel; the squeeze divides by it again."""


class ColorNet(nn.Module):
    """A backbone: pictures [B, 3, S, S] to levels [B, 48|64|96|160, S/4|S/8|S/16|S/32, ...].

    checkpointing: recompute the activations of each stage in the backward pass.
    """

    channels = tuple(channels for channels, _ in STAGES)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(STEM),
            nn.SiLU(inplace=True),
        )
        widths = [STEM, *self.channels]
        self.stages = nn.ModuleList(
            nn.Sequential(
                MBConv(before, after, stride=2),
                *(MBConv(after, after, stride=1) for _ in range(blocks - 1)),
            )
            for (before, after), (_, blocks) in zip(pairwise(widths), STAGES, strict=True)
        )
        self.checkpointing = False

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the levels c2 to c5, the finest first."""
        x = self.stem(images)
        levels = []
        for stage in self.stages:
            if self.checkpointing and self.training and torch.is_grad_enabled():
                x = cast(Tensor, checkpoint(stage, x, use_reentrant=False))
            else:
                x = stage(x)
            levels.append(x)
        return levels


class MBConv(nn.Module):
    """Expand, depthwise convolution, squeeze-and-excitation, project; with a skip if shapes allow.

    Source: Tan & Le, ICML 2019 (EfficientNet), after Sandler et al., CVPR 2018.
    """

    def __init__(self, before: int, after: int, *, stride: int) -> None:
        super().__init__()
        hidden = EXPANSION * before
        self.layers = nn.Sequential(
            nn.Conv2d(before, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.SiLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, stride=stride, padding=1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.SiLU(inplace=True),
            SqueezeExcite(hidden, hidden // EXPANSION),
            nn.Conv2d(hidden, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.skips = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, before, H, W] to [B, after, H / stride, W / stride]."""
        y = cast(Tensor, self.layers(x))
        return x + y if self.skips else y


class SqueezeExcite(nn.Module):
    """Multiply every channel by a weight in (0, 1) computed from the means of all channels.

    Source: Hu et al., CVPR 2018, section 3.
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.SiLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Reweight the channels: [B, C, H, W] -> [B, C, H, W]."""
        return x * cast(Tensor, self.weigh(x))
