"""Pools of random numbers drawn once, of which each picture takes a window of its own.

Fresh numbers for every pixel would cost more than the rest of an augmentation. A window is a
function of its place alone: the same on every device, however a batch is cut.
"""

from functools import lru_cache

import torch
from torch import Tensor

SEED = 20180215
POOL = 1 << 22  # 16 MiB of float32
WINDOWS = 4
"""At least so many windows that do not overlap."""
FIELD_SIDE = 3
"""Sides of a picture on the side of a pool of fields."""


def normal_windows(starts: Tensor, length: int, device: torch.device) -> Tensor:
    """Standard normal numbers [K, length], from places [K] in [0, 1) of one pool."""
    pool = _normals(max(POOL, WINDOWS * length), device)
    places = (starts.double() * (len(pool) - length)).long()
    return pool.unfold(0, length, 1)[places.to(device, non_blocking=True)]


def smooth_windows(places: Tensor, size: int, sigma: float, device: torch.device) -> Tensor:
    """Smooth fields [K, 2, size, size] of mean 0 and deviation 1, from places [K, 2] in [0, 1).

    sigma: pixels, of the Gaussian that white noise was smoothed with.
    """
    pool = _smooth(size * FIELD_SIDE, sigma, device)
    corners = (places * (pool.shape[-1] - size + 1)).long().to(device, non_blocking=True)
    windows = pool.unfold(1, size, 1).unfold(2, size, 1)  # [2, P, P, size, size]
    return windows[:, corners[:, 0], corners[:, 1]].transpose(0, 1)


@lru_cache(maxsize=4)
def _normals(length: int, device: torch.device) -> Tensor:
    return torch.randn(length, generator=torch.Generator().manual_seed(SEED)).to(device)


@lru_cache(maxsize=8)
def _smooth(size: int, sigma: float, device: torch.device) -> Tensor:
    """Two periodic fields [2, size, size], smoothed where a Gaussian is a product."""
    noise = torch.randn(2, size, size, generator=torch.Generator().manual_seed(SEED))
    high, wide = torch.fft.fftfreq(size), torch.fft.rfftfreq(size)
    gaussian = torch.exp(-2 * (torch.pi * sigma) ** 2 * (high[:, None] ** 2 + wide**2))
    gaussian[0, 0] = 0.0  # so that their mean is 0
    field = torch.fft.irfft2(torch.fft.rfft2(noise) * gaussian, s=(size, size))
    scaled: Tensor = field / field.std(dim=(1, 2), keepdim=True)
    return scaled.to(device)
