"""Multi-scale structural similarity: how alike two pictures look, over five scales."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tunewright.errors import DataError
from tunewright.recipes.compression.config_checks import MS_SSIM_ABOVE, has_ms_ssim

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, fine to coarse; they add up to 1."""
WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
"""Stabilisers for pictures in 0 to 1."""


def ms_ssim(pictures: Tensor, others: Tensor) -> Tensor:
    """Return MS-SSIM of each pair of pictures [B, C, H, W] in 0 to 1, mean of the channels: [B].

    Equal pictures give 1. The result is float64 for any input, since near 1 a float32 has few
    digits left for the difference to 1. See `dissimilarity`.
    """
    return 1.0 - dissimilarity(pictures, others).double()


def dissimilarity(pictures: Tensor, others: Tensor) -> Tensor:
    """Return 1 - MS-SSIM of each pair of pictures [B, C, H, W] in 0 to 1, mean of channels: [B].

    Differentiable, computed in float32 at least, and exact to about five digits there, however
    alike the pictures are: each term is computed as what it lacks to 1, from the differences of
    pixels. A negative structure term of a scale counts as 0. Raises DataError for sides of 160
    pixels or less.
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
    logarithm = torch.zeros((), dtype=dtype, device=x.device)
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            padding = [side % 2 for side in x.shape[-2:]]
            x, y = (F.avg_pool2d(image, 2, padding=padding) for image in (x, y))
        luminance, structure = _lacking(x, y, taps)
        last = scale == len(WEIGHTS) - 1
        lacking = luminance + structure - luminance * structure if last else structure
        logarithm = logarithm + weight * _log_of_rest(lacking.mean((-2, -1)))  # [B, C]
    return -torch.expm1(logarithm).mean(1)


def _window(x: Tensor) -> Tensor:
    """Return the Gaussian window [1, 1, taps], which sums to 1."""
    at = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    taps = torch.exp(-(at**2) / (2 * SIGMA**2))
    return (taps / taps.sum()).view(1, 1, -1)


def _lacking(x: Tensor, y: Tensor, taps: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 - luminance, and 1 - contrast times structure, at each place: [B, C, h, w].

    1 - (2 cov + C) / (var x + var y + C) is var(x - y) / (var x + var y + C), and likewise for
    means. Variances are of centred pixels: E x^2 - (E x)^2 of bright ones has few digits left.
    """
    centre = ((x + y) / 2).mean((-2, -1), keepdim=True).detach()
    x, y = x - centre, y - centre
    maps = torch.cat([x, y, x * x + y * y, (x - y) ** 2], 1)  # [B, 4 C, H, W]
    count = maps.shape[1]
    # One group a channel: 20 times as fast on a CPU as a batch of pictures with one channel.
    down, across = (taps.unsqueeze(axis).expand(count, 1, -1, -1) for axis in (-1, -2))
    blurred = F.conv2d(F.conv2d(maps, down, groups=count), across, groups=count)
    mean_x, mean_y, squares, squared_difference = blurred.chunk(4, 1)
    apart = (mean_x - mean_y) ** 2
    luminance = apart / ((mean_x + centre) ** 2 + (mean_y + centre) ** 2 + C1)
    # Rounding must not make a variance less than none.
    variances = (squares - mean_x**2 - mean_y**2).clamp(min=0.0)
    structure = (squared_difference - apart).clamp(min=0.0) / (variances + C2)
    return luminance, structure


def _log_of_rest(lacking: Tensor) -> Tensor:
    """Return ln(1 - x); for x >= 1 it is -inf with gradient 0, where autograd would give NaN."""
    rest = lacking < 1
    return torch.where(rest, torch.log1p(-torch.where(rest, lacking, 0.0)), -torch.inf)
