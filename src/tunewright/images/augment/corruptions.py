"""Blur and noise, each picture with a strength of its own."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from tunewright.images.augment.noise_fields import normal_windows, smooth_windows
from tunewright.images.augment.transforms import per_image, uniform_between
from tunewright.images.augment.warps import REFERENCE_PIXELS

BLUR_NUMBERS = 1
NOISE_NUMBERS = 2


def blur(images: Tensor, uniform: Tensor, *, low: float, high: float) -> Tensor:
    """Gaussian blur; `low` to `high`: width of its kernel, in pixels of a picture 256 wide.

    The deviation is the one that OpenCV takes for a kernel, 0.15 of its width plus 0.35.
    """
    scale = images.shape[-1] / REFERENCE_PIXELS
    sigma = (uniform_between(uniform[:, 0], low, high) * 0.15 + 0.35) * scale
    return gaussian_blur(images, sigma, math.ceil((high - 1) / 2 * scale))


def gaussian_blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blur each picture [K, 3, S, S] by its own sigma [K] in pixels, over 2 * radius + 1 of them.

    Pictures go on beyond their borders as mirror images, without the border pixel again.
    """
    radius = min(radius, images.shape[-1] - 1)  # a mirror shows no more
    places = torch.arange(radius + 1)
    weights = torch.exp(-0.5 * (places / sigma.clamp(min=1e-3)[:, None]) ** 2)
    weights /= 2 * weights.sum(dim=1, keepdim=True) - weights[:, :1]
    taps = [per_image(weight, images) for weight in weights.unbind(dim=1)]
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
    std = per_image(uniform_between(uniform[:, 0], low, high), images)
    return images.addcmul_(added.to(images.dtype), std).clamp_(0.0, 1.0)


CORNERS = 5
"""Of a shadow."""
SHADOW_NUMBERS = 3 + CORNERS
FOG_NUMBERS = 3
PATCH = 0.125
"""Of the side of a picture: the size of a wisp of fog."""


def shadow(images: Tensor, uniform: Tensor, *, darkness: float) -> Tensor:
    """Darken a random convex shape: pixels in it are multiplied by 1 - `darkness`.

    uniform: [K, 8], the place of its centre, its radius, the directions of its five corners.
    """
    size, device = images.shape[-1], images.device
    centres = uniform_between(uniform[:, :2], 0.0, size)
    radii = uniform_between(uniform[:, 2:3], 0.25 * size, 0.75 * size)
    angles = (uniform[:, 3:] * 2 * math.pi).sort(dim=1).values
    corners = centres[:, None] + radii[:, None] * torch.stack((angles.cos(), angles.sin()), dim=2)
    inside = in_convex(corners, size, device)
    return images.mul_((1 - darkness * inside)[:, None])


def in_convex(corners: Tensor, size: int, device: torch.device) -> Tensor:
    """1 where the middle of a pixel is in a convex shape, else 0: float32 [K, size, size].

    corners: [K, n, 2], x and y in pixels, turning from x to y, on the CPU.
    """
    edges = corners.roll(-1, dims=1) - corners
    # x * b - y * a > c: right of an edge from the corner (x0, y0) along (a, b)
    offsets = corners[..., 0] * edges[..., 1] - corners[..., 1] * edges[..., 0]
    lines = torch.cat((edges, offsets[..., None]), dim=2).to(device, non_blocking=True)
    axis = torch.arange(size, device=device) + 0.5
    inside = torch.full((len(corners), size, size), torch.inf, device=device)
    for line in lines.unbind(dim=1):
        along_x = axis * line[:, 1:2] - line[:, 2:]  # [K, size]
        along_y = axis * line[:, 0:1]
        torch.minimum(inside, along_y[:, :, None] - along_x[:, None, :], out=inside)
    return inside.sign_().add_(1).clamp_(max=1)


def fog(images: Tensor, uniform: Tensor, *, low: float, high: float) -> Tensor:
    """Lay white over each picture: a share from `low` to `high` on average, in wisps.

    uniform: [K, 3], how much, and where the wisps are taken from.
    """
    size = images.shape[-1]
    wisps = smooth_windows(uniform[:, 1:], size, PATCH * size, images.device)[:, :1]
    share = (1 + 0.5 * wisps.clamp(-2.0, 2.0)) * per_image(
        uniform_between(uniform[:, 0], low, high), images
    )
    share = share.clamp_(max=1.0).to(images.dtype)
    return images.mul_(1 - share).add_(share)
