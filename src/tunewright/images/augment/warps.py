"""Non-linear maps of coordinates for the one resampling: elastic and grid distortion.

Coordinates are those of `grid_sample`: -1 and 1 are the outer edges of a picture.
"""

import math

import torch
from torch import Tensor

from tunewright.images.augment.noise_fields import smooth_windows
from tunewright.images.augment.transforms import uniform_around

REFERENCE_PIXELS = 256
"""The width of a picture to which settings in pixels refer."""


def elastic_shifts(
    places: Tensor, size: int, device: torch.device, *, alpha: float, sigma: float
) -> Tensor:
    """Return smooth random shifts [K, 2, size, size], for windows at `places` [K, 2] in [0, 1).

    Equivalent to shifting every pixel of a picture 256 wide by a number uniform in -1 to 1,
    smoothed by a Gaussian of `sigma` pixels and multiplied by `alpha`. Smoothing shrinks the
    shifts: alpha 1 and sigma 50 leave a deviation of 0.003 pixels. Source: Simard et al. 2003.
    """
    fields = smooth_windows(places, size, sigma * size / REFERENCE_PIXELS, device)
    # Uniform in -1..1 has deviation sqrt(1/3); a Gaussian of sigma averages about
    # (2 sqrt(pi) sigma)^2 pixels: 1 * 0.577 / (2 * 1.772 * 50) = 0.003.
    deviation = alpha * math.sqrt(1 / 3) / (2 * math.sqrt(math.pi) * sigma)
    return fields * (deviation * 2 / REFERENCE_PIXELS)


def stretch(uniform: Tensor, size: int, *, limit: float) -> Tensor:
    """Return where each pixel of an axis looks [K, size] when its cells are stretched unevenly.

    uniform: [K, steps], one number per cell; its width is multiplied by 1 +- `limit`, and all
    widths are scaled so that the edges of the picture stay where they are.
    """
    steps = uniform.shape[1]
    widths = uniform_around(uniform, 1.0, limit)
    widths = widths / widths.sum(dim=1, keepdim=True)
    # Two cells of widths 0.6 and 0.4 start at 0 and 0.6: the middle of the second looks at 0.8.
    starts = widths.cumsum(dim=1) - widths
    places = (torch.arange(size, dtype=uniform.dtype) + 0.5) / size * steps  # in cells
    cells = places.long().clamp_(max=steps - 1)
    return 2 * (starts[:, cells] + (places - cells) * widths[:, cells]) - 1
