"""Crops, flips, rotations and shifts: exact for whole pixels, else in one resampling."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tunewright.images.augment.config import AugmentationLevel
from tunewright.images.augment.transforms import (
    on_rows,
    uniform_around,
    uniform_between,
    uniform_int,
)
from tunewright.images.augment.warps import elastic_shifts, stretch

TRIES = 10
"""Random crops drawn for one picture; the first that fits is used, as in torchvision."""


@dataclass(frozen=True)
class ShiftedCrop:
    """Pad with black, then cut out a window of the original size at whole pixels; any dtype.

    pad: as a fraction of the side, on every side.
    """

    pad: float
    numbers: int = 2

    def __call__(self, images: Tensor, uniform: Tensor) -> Tensor:
        """Cut one window out of each picture."""
        size = images.shape[-1]
        pad = round(self.pad * size)
        if not pad:
            return images
        corners = uniform_int(uniform, 0, 2 * pad).to(images.device, non_blocking=True)
        return cut_windows(F.pad(images, (pad,) * 4), corners[:, 0], corners[:, 1], size)


@dataclass(frozen=True)
class Turns:
    """Mirror images and quarter turns, exact; any dtype."""

    level: AugmentationLevel
    numbers: int = 4

    def __call__(self, images: Tensor, uniform: Tensor) -> Tensor:
        """Flip and rotate each picture with the probabilities of the level."""
        across, down, quarters = turns(uniform, self.level)
        images = on_rows(images, across, lambda chosen, _: chosen.flip(-1))
        images = on_rows(images, down, lambda chosen, _: chosen.flip(-2))
        for times in (1, 2, 3) if self.level.rot90 else ():
            images = on_rows(images, quarters == times, partial(_quarter_turns, times=times))
        return images


@dataclass(frozen=True)
class Resampling:
    """All transforms that move pixels by fractions of a pixel, in ONE bilinear resampling.

    Random resized crop, flips, quarter turns, shift with scale and rotation, elastic and grid
    distortion are maps of coordinates, composed before any pixel is read. Borders are reflected.
    Float pictures only.
    """

    level: AugmentationLevel

    @property
    def numbers(self) -> int:
        """Uniform numbers per picture, in the order in which `__call__` takes them."""
        return Turns.numbers + (2 * TRIES + 2) + 5 + 3 + (1 + 2 * self._steps)

    @property
    def _steps(self) -> int:
        return self.level.grid_distortion_steps

    def __call__(self, images: Tensor, uniform: Tensor) -> Tensor:
        """Compose one map of coordinates for each picture, and sample its pixels."""
        level, size, device = self.level, images.shape[-1], images.device
        widths = (Turns.numbers, 2 * TRIES + 2, 5, 3, 1 + 2 * self._steps)
        turning, cropping, moving, waving, stretching = uniform.split(widths, dim=1)
        maps = crop_maps(cropping, level) @ turn_maps(*turns(turning, level))
        maps = (maps @ affine_maps(moving, level))[:, :2].to(device, non_blocking=True)
        axes = self._axes(stretching, size).to(device, non_blocking=True)  # [1 or B, 2, size]
        across = maps[:, :, 0, None] * axes[:, 0, None] + maps[:, :, 2, None]
        down = maps[:, :, 1, None] * axes[:, 1, None]
        grid = across[:, :, None, :] + down[:, :, :, None]  # [B, 2, size, size]

        def wave(places: Tensor, rows: Tensor) -> Tensor:
            shifts = elastic_shifts(
                waving[rows, 1:], size, device, alpha=level.elastic_alpha, sigma=level.elastic_sigma
            )
            turned = maps[rows.to(device, non_blocking=True), :, :2]
            return torch.baddbmm(places.flatten(2), turned, shifts.flatten(2)).view_as(places)

        grid = on_rows(grid, waving[:, 0] < level.elastic, wave).permute(0, 2, 3, 1)
        return F.grid_sample(
            images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )

    def _axes(self, uniform: Tensor, size: int) -> Tensor:
        """Return where columns and rows look: their centres, or stretched by the distortion."""
        # Pixel centres between the edges -1 and 1: for size 4 they are -0.75, -0.25, 0.25, 0.75.
        middles = ((torch.arange(size) * 2 + 1) / size - 1).expand(1, 2, size)
        if not self.level.grid_distortion:
            return middles
        bent = stretch(
            uniform[:, 1:].reshape(2 * len(uniform), self._steps),
            size,
            limit=self.level.grid_distortion_limit,
        ).view(-1, 2, size)
        return torch.where(
            (uniform[:, 0] < self.level.grid_distortion)[:, None, None], bent, middles
        )


def cut_windows(images: Tensor, tops: Tensor, lefts: Tensor, size: int) -> Tensor:
    """Cut a window [size, size] out of each picture [B, 3, H, W], each at its own corner [B]."""
    rows = torch.arange(len(images), device=images.device)
    if images.device.type == "cpu":  # NumPy copies whole rows, torch single pixels
        views = np.lib.stride_tricks.sliding_window_view(images.numpy(), (size, size), (2, 3))
        return torch.from_numpy(views[rows.numpy(), :, tops.numpy(), lefts.numpy()])
    windows = images.unfold(2, size, 1).unfold(3, size, 1)  # a view: [B, 3, places, places, ...]
    return windows[rows, :, tops, lefts]


def turns(uniform: Tensor, level: AugmentationLevel) -> tuple[Tensor, Tensor, Tensor]:
    """Decide the flips and quarter turns of each picture.

    Returns left-right and top-bottom flips (bool [B]) and quarter turns (0 to 3, int64 [B]).
    """
    quarters = uniform_int(uniform[:, 3], 1, 3) * (uniform[:, 2] < level.rot90)
    return uniform[:, 0] < level.hflip, uniform[:, 1] < level.vflip, quarters


def turn_maps(across: Tensor, down: Tensor, quarters: Tensor) -> Tensor:
    """Return `flip(-1)`, then `flip(-2)`, then `rot90` as maps [B, 3, 3] of coordinates."""
    mirror = torch.eye(3).repeat(len(across), 1, 1)
    # 1 - 2 * True = -1: x goes to -x.
    mirror[:, 0, 0] -= 2.0 * across
    mirror[:, 1, 1] -= 2.0 * down
    return mirror @ _rotations(quarters * (math.pi / 2))


def crop_maps(uniform: Tensor, level: AugmentationLevel) -> Tensor:
    """Return maps [B, 3, 3] from the full picture into a random window of it.

    The window's area is uniform within crop_scale, and the logarithm of its aspect ratio within
    that of crop_ratio; both are drawn again until the window fits. Source: Szegedy et al. 2015,
    section 6.
    """
    areas = uniform_between(uniform[:, :TRIES], level.crop_scale_min, level.crop_scale_max)
    low, high = math.log(level.crop_ratio_min), math.log(level.crop_ratio_max)
    # Area 0.5 and ratio 2 give sides sqrt(0.5) * sqrt(2) = 1 and sqrt(0.5) / sqrt(2) = 0.5.
    stretch = (uniform_between(uniform[:, TRIES : 2 * TRIES], low, high) / 2).exp()
    wide, high_ = areas.sqrt() * stretch, areas.sqrt() / stretch
    first = ((wide <= 1) & (high_ <= 1)).int().argmax(dim=1, keepdim=True)
    sides = torch.cat((wide.gather(1, first), high_.gather(1, first)), dim=1).clamp_(max=1.0)
    maps = torch.diag_embed(F.pad(sides, (0, 1), value=1.0))
    maps[:, :2, 2] = (2 * uniform[:, 2 * TRIES :] - 1) * (1 - sides)  # the centre of the window
    return maps


def affine_maps(uniform: Tensor, level: AugmentationLevel) -> Tensor:
    """Return maps [B, 3, 3] that undo a rotation, a scaling and a shift, in this order.

    Five numbers each: whether to apply it, the shifts right and down, the scale, the angle.
    """
    chosen = (uniform[:, 0] < level.affine).to(uniform.dtype)
    shifts = uniform_around(uniform[:, 1:3], 0.0, 2 * level.shift) * chosen[:, None]
    scales = uniform_around(uniform[:, 3], 0.0, level.scale) * chosen + 1
    angles = uniform_around(uniform[:, 4], 0.0, math.radians(level.rotate_degrees)) * chosen
    maps = _rotations(-angles)  # the inverse rotation
    maps[:, :2, :2] /= scales[:, None, None]
    maps[:, :2, 2] = -(maps[:, :2, :2] @ shifts[:, :, None]).squeeze(2)
    return maps


def _rotations(angles: Tensor) -> Tensor:
    maps = torch.eye(3).repeat(len(angles), 1, 1)
    cos, sin = angles.cos(), angles.sin()
    maps[:, 0, 0] = maps[:, 1, 1] = cos
    maps[:, 0, 1], maps[:, 1, 0] = -sin, sin
    return maps


def _quarter_turns(images: Tensor, _rows: Tensor, *, times: int) -> Tensor:
    return images.rot90(times, (-2, -1))
