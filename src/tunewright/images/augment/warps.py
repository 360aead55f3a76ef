"""Maps of coordinates that are not straight: elastic and grid distortion, for one resampling.

Coordinates are those of `grid_sample`: -1 and 1 are the outer edges of a picture.
"""

import math

import torch
from torch import Tensor

from tunewright.images.augment.noise_fields import smooth_windows
from tunewright.images.augment.transforms import uniform_around

REFERENCE_PIXELS = 256
"""The width of the picture that settings in pixels are meant for."""


def elastic_shifts(
    places: Tensor, size: int, device: torch.device, *, alpha: float, sigma: float
) -> Tensor:
    """Smooth random shifts [K, 2, size, size], for windows at `places` [K, 2] in [0, 1).

    As if every pixel of a picture 256 wide were shifted by a number uniform in -1 to 1, these
    smoothed by a Gaussian of `sigma` pixels, then multiplied by `alpha`. Smoothing shrinks them:
    of alpha 1 and sigma 50 a deviation of 0.003 pixels remains. Source: Simard et al. 2003.
    """
    fields = smooth_windows(places, size, sigma * size / REFERENCE_PIXELS, device)
    deviation = alpha * math.sqrt(1 / 3) / (2 * math.sqrt(math.pi) * sigma)
    return fields * (deviation * 2 / REFERENCE_PIXELS)


def stretch(uniform: Tensor, size: int, *, limit: float) -> Tensor:
    """Where each pixel of an axis [K, size] looks, when its cells are stretched unevenly.

    uniform: [K, steps], one number a cell; its width is multiplied by 1 +- `limit`, and all are
    scaled so that the edges of the picture stay where they are.
    """
    steps = uniform.shape[1]
    widths = uniform_around(uniform, 1.0, limit)
    widths = widths / widths.sum(dim=1, keepdim=True)
    starts = widths.cumsum(dim=1) - widths
    places = (torch.arange(size, dtype=uniform.dtype) + 0.5) / size * steps  # in cells
    cells = places.long().clamp_(max=steps - 1)
    return 2 * (starts[:, cells] + (places - cells) * widths[:, cells]) - 1
