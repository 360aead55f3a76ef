"""Pools of random numbers that are drawn once; each picture takes a window of them.

Fresh numbers for every pixel would cost more than the rest of an augmentation. A window depends
only on its place: it is the same on every device, however a batch is cut.
"""

from functools import lru_cache

import torch
from torch import Tensor

SEED = 20180215
POOL = 1 << 22  # 16 MiB of float32
WINDOWS = 4
"""A pool holds at least this many windows that do not overlap."""
FIELD_SIDE = 3
"""Side of a pool of fields, in sides of a picture."""


def normal_windows(starts: Tensor, length: int, device: torch.device) -> Tensor:
    """Return standard normal numbers [K, length], from places [K] in [0, 1) of one pool."""
    pool = _normals(max(POOL, WINDOWS * length), device)
    places = (starts.double() * (len(pool) - length)).long()
    return pool.unfold(0, length, 1)[places.to(device, non_blocking=True)]


def smooth_windows(places: Tensor, size: int, sigma: float, device: torch.device) -> Tensor:
    """Return smooth fields [K, 2, size, size] of mean 0 and deviation 1.

    places: [K, 2] in [0, 1), where in the pool. sigma: of the Gaussian that smoothed the white
    noise, in pixels.
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
    """Return two periodic fields [2, size, size], smoothed in Fourier space."""
    # Convolving with a Gaussian is a product in Fourier space: exp(-2 (pi sigma f)^2).
    noise = torch.randn(2, size, size, generator=torch.Generator().manual_seed(SEED))
    high, wide = torch.fft.fftfreq(size), torch.fft.rfftfreq(size)
    gaussian = torch.exp(-2 * (torch.pi * sigma) ** 2 * (high[:, None] ** 2 + wide**2))
    gaussian[0, 0] = 0.0  # so that their mean is 0
    field = torch.fft.irfft2(torch.fft.rfft2(noise) * gaussian, s=(size, size))
    scaled: Tensor = field / field.std(dim=(1, 2), keepdim=True)
    return scaled.to(device)
