"""Blur and noise, each picture with a strength of its own."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from tunewright.parts.images.distort import REFERENCE_PIXELS
from tunewright.parts.images.random_fields import normal_windows
from tunewright.parts.images.stages import between, spread

BLUR_NUMBERS = 1
NOISE_NUMBERS = 2


def blur(images: Tensor, uniform: Tensor, *, low: float, high: float) -> Tensor:
    """Gaussian blur; `low` to `high`: width of its kernel, in pixels of a picture 256 wide.

    The deviation is the one that OpenCV takes for a kernel, 0.15 of its width plus 0.35.
    """
    scale = images.shape[-1] / REFERENCE_PIXELS
    sigma = (between(uniform[:, 0], low, high) * 0.15 + 0.35) * scale
    return gaussian_blur(images, sigma, math.ceil((high - 1) / 2 * scale))


def gaussian_blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blur each picture [K, 3, S, S] by its own sigma [K] in pixels, over 2 * radius + 1 of them.

    Pictures go on beyond their borders as mirror images, without the border pixel again.
    """
    radius = min(radius, images.shape[-1] - 1)  # a mirror shows no more
    places = torch.arange(radius + 1)
    weights = torch.exp(-0.5 * (places / sigma.clamp(min=1e-3)[:, None]) ** 2)
    weights /= 2 * weights.sum(dim=1, keepdim=True) - weights[:, :1]
    taps = [spread(weight, images) for weight in weights.unbind(dim=1)]
    for dim, pad in ((2, (0, 0, radius, radius)), (3, (radius, radius, 0, 0))):
        size = images.shape[dim]
        padded = F.pad(images, pad, mode="reflect")
        images = padded.narrow(dim, radius, size) * taps[0]
        for step, tap in enumerate(taps[1:], 1):
            images.addcmul_(padded.narrow(dim, radius - step, size), tap)
            images.addcmul_(padded.narrow(dim, radius + step, size), tap)
    return images


def noise(images: Tensor, uniform: Tensor, *, low: float, high: float) -> Tensor:
    """Add Gaussian noise to each pixel and channel, of a deviation from `low` to `high`.

    uniform: [K, 2], how much, and where the noise is taken from.
    """
    length = images[0].numel()
    added = normal_windows(uniform[:, 1], length, images.device).view_as(images)
    std = spread(between(uniform[:, 0], low, high), images)
    return images.addcmul_(added.to(images.dtype), std).clamp_(0.0, 1.0)
