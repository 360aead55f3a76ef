"""Holes in pictures: coarse dropout, Cutout, GridMask."""

import math

import torch
from torch import Tensor

from tunewright.images.augment.transforms import uniform_between, uniform_int
from tunewright.images.augment.warps import REFERENCE_PIXELS

CUTOUT_NUMBERS = 2
GRID_NUMBERS = 4


def dropout_numbers(holes: int) -> int:
    """Return how many uniform numbers `coarse_dropout` needs for at most `holes` holes."""
    return 1 + 4 * holes


def coarse_dropout(
    images: Tensor,
    uniform: Tensor,
    *,
    holes: tuple[int, int],
    pixels: tuple[float, float],
    fill: float,
) -> Tensor:
    """Cut rectangles out of each picture; their number and sides are random.

    pixels: for a picture 256 wide; a hole is at least one pixel. Holes lie within the picture.
    Source: Albumentations' CoarseDropout, after DeVries and Taylor 2017.
    """
    size = images.shape[-1]
    count = uniform_int(uniform[:, 0], *holes)
    high, wide, tops, lefts = uniform[:, 1:].view(len(images), 4, -1).unbind(dim=1)
    scale = size / REFERENCE_PIXELS
    sides = [
        (uniform_between(side, *pixels) * scale).round_().clamp_(1, size) for side in (high, wide)
    ]
    sides[0] *= torch.arange(holes[1]) < count[:, None]  # holes beyond the drawn count get height 0
    corners = [
        uniform_int_below(place, size - side + 1)
        for place, side in zip((tops, lefts), sides, strict=True)
    ]
    inside = [
        spans(corner, corner + side, size) for corner, side in zip(corners, sides, strict=True)
    ]
    return fill_holes(images, *inside, fill=fill)


def cutout(images: Tensor, uniform: Tensor, *, side: float, fill: float) -> Tensor:
    """Cut one square out of each picture; its centre may be anywhere, so borders may cut it off.

    side: as a fraction of the picture's side. Source: DeVries and Taylor 2017, section 3.2.
    """
    size = images.shape[-1]
    length = max(1, round(side * size))
    starts = uniform_int_below(uniform[:, :2], torch.tensor(float(size))) - length // 2
    rows, columns = (
        spans(start, start + length, size) for start in starts.unsqueeze(2).unbind(dim=1)
    )
    return fill_holes(images, rows, columns, fill=fill)


def grid_mask(
    images: Tensor,
    uniform: Tensor,
    *,
    unit: tuple[float, float],
    keep: float,
    degrees: float,
    fill: float,
) -> Tensor:
    """Cut a grid of squares out of each picture, shifted, and rotated by up to `degrees`.

    unit: distance from one square to the next, as a fraction of the picture's side; a square is 1 -
    `keep` of it wide. Source: Chen et al. 2020, where `keep` is r, with mode 1 of its mask.
    """
    size, device = images.shape[-1], images.device
    units = uniform_between(uniform[:, 0], *unit) * size
    angles = (2 * uniform[:, 3] - 1) * math.radians(degrees)
    numbers = torch.stack((units, angles.cos(), angles.sin(), *uniform[:, 1:3].unbind(1)))
    length, cos, sin, first, second = numbers.to(device, non_blocking=True)[:, :, None, None]
    axis = torch.arange(size, device=device) + 0.5 - size / 2
    x, y = axis[None, None, :], axis[None, :, None]
    across = ((x * cos + y * sin) / length + first).remainder_(1.0)
    along = ((y * cos - x * sin) / length + second).remainder_(1.0)
    hole = torch.minimum(across, along).sub_(keep).sign_().add_(1).clamp_(max=1)
    return fill_with(images, hole, fill)


def spans(starts: Tensor, ends: Tensor, size: int) -> Tensor:
    """Return which of `size` positions each span [K, n] covers: float32 [K, n, size].

    For example start 1, end 3, size 4 give 0, 1, 1, 0.
    """
    places = torch.arange(size)
    return ((places >= starts[..., None]) & (places < ends[..., None])).float()


def fill_holes(images: Tensor, rows: Tensor, columns: Tensor, *, fill: float) -> Tensor:
    """Fill the rectangles made of spans of rows and columns, each [K, n, S] on the CPU."""
    # Outer products of row and column spans: the rectangles of [K, n, S] rows and columns
    # add up to [K, S, S], and overlaps are clamped to 1.
    rows, columns = (side.to(images.device, non_blocking=True) for side in (rows, columns))
    return fill_with(images, (rows.mT @ columns).clamp_(max=1), fill)


def fill_with(images: Tensor, hole: Tensor, fill: float) -> Tensor:
    """Put `fill` where `hole` [K, S, S] is 1, and keep the picture where it is 0."""
    # A product, since filling by a mask takes 17 times as long on a CPU.
    images.mul_((1 - hole)[:, None])
    return images.add_(hole[:, None], alpha=fill) if fill else images


def uniform_int_below(uniform: Tensor, end: Tensor) -> Tensor:
    """Map uniform numbers in [0, 1) to integers from 0 to below `end`, as floats."""
    return torch.minimum((uniform * end).floor_(), end - 1)
