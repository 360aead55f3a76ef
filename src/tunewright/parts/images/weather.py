"""Shadow and fog: what torchvision has no transform for."""

import math

import torch
from torch import Tensor

from tunewright.parts.images.random_fields import smooth_windows
from tunewright.parts.images.stages import between, spread

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
    centres = between(uniform[:, :2], 0.0, size)
    radii = between(uniform[:, 2:3], 0.25 * size, 0.75 * size)
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
    share = (1 + 0.5 * wisps.clamp(-2.0, 2.0)) * spread(between(uniform[:, 0], low, high), images)
    share = share.clamp_(max=1.0).to(images.dtype)
    return images.mul_(1 - share).add_(share)
