"""Blur, noise, shadow and fog, each picture with its own strength."""

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
    """Blur by a Gaussian; `low` to `high`: width of its kernel, in pixels of a picture 256 wide.

    The standard deviation is the one OpenCV takes for a kernel: 0.15 * width + 0.35.
    """
    scale = images.shape[-1] / REFERENCE_PIXELS
    sigma = (uniform_between(uniform[:, 0], low, high) * 0.15 + 0.35) * scale
    return gaussian_blur(images, sigma, math.ceil((high - 1) / 2 * scale))


def gaussian_blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blur each picture [K, 3, S, S] with its own sigma [K] in pixels.

    The kernel is 2 * radius + 1 pixels wide. Borders are reflected, without repeating the border
    pixel.
    """
    radius = min(radius, images.shape[-1] - 1)  # reflection cannot pad further
    # Symmetric kernel: weight 0 counts once and the others twice, so with weights w0, w1, w2
    # the sum is w0 + 2 * (w1 + w2) = 2 * (w0 + w1 + w2) - w0.
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
    """Add Gaussian noise to each pixel and channel, with a deviation from `low` to `high`.

    uniform: [K, 2]: the deviation, and the place in the noise pool.
    """
    length = images[0].numel()
    added = normal_windows(uniform[:, 1], length, images.device).view_as(images)
    std = per_image(uniform_between(uniform[:, 0], low, high), images)
    return images.addcmul_(added.to(images.dtype), std).clamp_(0.0, 1.0)


CORNERS = 5
"""Corners of a shadow."""
SHADOW_NUMBERS = 3 + CORNERS
FOG_NUMBERS = 3
PATCH = 0.125
"""Size of a wisp of fog, as a fraction of the picture's side."""


def shadow(images: Tensor, uniform: Tensor, *, darkness: float) -> Tensor:
    """Darken a random convex shape: the pixels in it are multiplied by 1 - `darkness`.

    uniform: [K, 8]: the centre (2), the radius (1), the directions of the five corners.
    """
    size, device = images.shape[-1], images.device
    centres = uniform_between(uniform[:, :2], 0.0, size)
    radii = uniform_between(uniform[:, 2:3], 0.25 * size, 0.75 * size)
    angles = (uniform[:, 3:] * 2 * math.pi).sort(dim=1).values
    corners = centres[:, None] + radii[:, None] * torch.stack((angles.cos(), angles.sin()), dim=2)
    inside = in_convex(corners, size, device)
    return images.mul_((1 - darkness * inside)[:, None])


def in_convex(corners: Tensor, size: int, device: torch.device) -> Tensor:
    """Return 1 for pixels with their centre in a convex shape, else 0: float32 [K, size, size].

    corners: [K, n, 2], x and y in pixels, in the direction from x to y, on the CPU.
    """
    edges = corners.roll(-1, dims=1) - corners
    # A point lies inside an edge from (x0, y0) along (a, b) if y * a - x * b > c, and
    # c = y0 * a - x0 * b. For (0, 0) along (1, 0) that is y > 0. The smallest margin over
    # all edges decides.
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
    """Blend each picture with white: a share from `low` to `high` on average, in wisps.

    uniform: [K, 3]: the share, and the place in the pool of wisps.
    """
    size = images.shape[-1]
    wisps = smooth_windows(uniform[:, 1:], size, PATCH * size, images.device)[:, :1]
    share = (1 + 0.5 * wisps.clamp(-2.0, 2.0)) * per_image(
        uniform_between(uniform[:, 0], low, high), images
    )
    share = share.clamp_(max=1.0).to(images.dtype)
    return images.mul_(1 - share).add_(share)
