"""Multi-scale structural similarity: how alike two pictures look, over five scales."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tunewright.errors import DataError
from tunewright.recipes.compression.fitting import MS_SSIM_ABOVE, has_ms_ssim

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, fine to coarse; they add up to 1."""
WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
"""Stabilisers for pictures in 0 to 1."""


def ms_ssim(pictures: Tensor, others: Tensor) -> Tensor:
    """MS-SSIM of each pair of pictures [B, C, H, W] in 0 to 1, the mean of their channels: [B].

    1 for equal ones; differentiable, computed in float32 at least. A negative structure term of a
    scale counts as 0. Raises DataError for sides of 160 pixels or less.
    Source: Wang, Simoncelli & Bovik 2003, equation 7, with a Gaussian window of 11 taps and
    sigma 1.5 without padding; scales are halved by means of 2 x 2 pixels, odd sides padded by 0,
    as in the package pytorch-msssim, with which published figures are made.
    """
    height, width = pictures.shape[-2:]
    if not has_ms_ssim(min(height, width)):
        raise DataError(
            f"MS-SSIM of pictures of {width} x {height} pixels",
            expected=f"sides above {MS_SSIM_ABOVE} pixels",
        )
    dtype = torch.promote_types(pictures.dtype, torch.float32)
    x, y = pictures.to(dtype), others.to(dtype)
    taps = _window(x)
    found = torch.ones((), dtype=dtype, device=x.device)
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            padding = [side % 2 for side in x.shape[-2:]]
            x, y = (F.avg_pool2d(image, 2, padding=padding) for image in (x, y))
        luminance, structure = _terms(x, y, taps)
        last = scale == len(WEIGHTS) - 1
        term = (luminance * structure if last else structure).mean((-2, -1))  # [B, C]
        found = found * _power(term, weight)
    return found.mean(1)


def _window(x: Tensor) -> Tensor:
    """[1, 1, taps], which add up to 1."""
    at = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    taps = torch.exp(-(at**2) / (2 * SIGMA**2))
    return (taps / taps.sum()).view(1, 1, -1)


def _terms(x: Tensor, y: Tensor, taps: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast times structure, at each place of the window: [B, C, h, w]."""
    maps = torch.cat([x, y, x * x, y * y, x * y], 1)  # [B, 5 C, H, W]
    count = maps.shape[1]
    # One group a channel: 20 times as fast on a CPU as a batch of pictures with one channel.
    down, across = (taps.unsqueeze(axis).expand(count, 1, -1, -1) for axis in (-1, -2))
    blurred = F.conv2d(F.conv2d(maps, down, groups=count), across, groups=count)
    mean_x, mean_y, xx, yy, xy = blurred.chunk(5, 1)
    both, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    luminance = (2 * both + C1) / (squares + C1)
    structure = (2 * (xy - both) + C2) / (xx + yy - squares + C2)
    return luminance, structure


def _power(x: Tensor, weight: float) -> Tensor:
    """The power where x is above 0, else 0 with gradient 0; the plain power's would be NaN."""
    above = x > 0
    return torch.where(above, torch.where(above, x, 1.0) ** weight, 0.0)
