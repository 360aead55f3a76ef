"""Augment whole batches on the training device, with random parameters for each picture."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from tunewright.images.augment.colour import Colouring, equalise
from tunewright.images.augment.config import AugmentationLevel
from tunewright.images.augment.corruptions import (
    BLUR_NUMBERS,
    FOG_NUMBERS,
    NOISE_NUMBERS,
    SHADOW_NUMBERS,
    blur,
    fog,
    noise,
    shadow,
)
from tunewright.images.augment.erasing import (
    CUTOUT_NUMBERS,
    GRID_NUMBERS,
    coarse_dropout,
    cutout,
    dropout_numbers,
    grid_mask,
)
from tunewright.images.augment.geometry import Resampling, ShiftedCrop, Turns
from tunewright.images.augment.transforms import Kernel, Sometimes, Stage


class Augment:
    """A chain of stages; made by `make_augment`.

    Every picture gets random parameters of its own; `torchvision.transforms.v2` draws one set for
    the whole batch. exact: stages that move whole pixels, on uint8; varied: the others, on floats.
    """

    def __init__(self, exact: Sequence[Stage], varied: Sequence[Stage]) -> None:
        self.exact, self.varied = tuple(exact), tuple(varied)
        self.numbers = sum(stage.numbers for stage in (*self.exact, *self.varied))

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment pictures, uint8 [B, 3, S, S] on any device, to float32 [B, 3, S, S] in [0, 1].

        generator: on the CPU; the same state gives the same pictures. The input is not changed.
        """
        varied = self.by_numbers(images.clone(), self.draw(len(images), generator))
        return varied if self.varied else varied.float().div_(255)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw all random numbers for `count` pictures: uniform in [0, 1), [count, numbers]."""
        return torch.rand(count, self.numbers, generator=generator)

    def by_numbers(self, images: Tensor, uniform: Tensor) -> Tensor:
        """Augment uint8 pictures; the result of each depends only on its row of `draw`.

        So it does not matter how a batch is cut. May change the input. Returns floats in [0, 1], or
        uint8 (a quarter of the bytes) if no stage needs floats.
        """
        taken = 0
        for stages, as_float in ((self.exact, False), (self.varied, True)):
            if as_float and stages:
                images = images.float().div_(255)
            for stage in stages:
                images = stage(images, uniform[:, taken : taken + stage.numbers])
                taken += stage.numbers
        return images


def make_augment(level: AugmentationLevel) -> Augment:
    """Make the stages that a level asks for, without those of probability 0."""
    resampled = (
        min(level.crop_scale_min, level.crop_ratio_min) < 1
        or level.crop_ratio_max > 1
        or max(level.affine, level.elastic, level.grid_distortion) > 0
    )
    turned = level.hflip or level.vflip or level.rot90
    exact: list[Stage] = []
    if level.pad:
        exact.append(ShiftedCrop(level.pad))
    exact += _sometimes(level.equalise, 0, equalise)
    if turned and not resampled:
        exact.append(Turns(level))
    varied: list[Stage] = [Resampling(level)] if resampled else []
    if level.jitter or level.brightness_contrast or level.hsv or level.gamma:
        varied.append(Colouring(level))
    fill = level.hole_fill
    varied += [
        *_sometimes(level.shadow, SHADOW_NUMBERS, partial(shadow, darkness=level.shadow_darkness)),
        *_sometimes(level.fog, FOG_NUMBERS, partial(fog, low=level.fog_min, high=level.fog_max)),
        *_sometimes(
            level.blur,
            BLUR_NUMBERS,
            partial(blur, low=level.blur_pixels_min, high=level.blur_pixels_max),
        ),
        *_sometimes(
            level.noise,
            NOISE_NUMBERS,
            partial(noise, low=level.noise_std_min, high=level.noise_std_max),
        ),
        *_sometimes(
            level.coarse_dropout,
            dropout_numbers(level.coarse_dropout_holes_max),
            partial(
                coarse_dropout,
                holes=(level.coarse_dropout_holes_min, level.coarse_dropout_holes_max),
                pixels=(level.coarse_dropout_pixels_min, level.coarse_dropout_pixels_max),
                fill=fill,
            ),
        ),
        *_sometimes(
            level.cutout, CUTOUT_NUMBERS, partial(cutout, side=level.cutout_side, fill=fill)
        ),
        *_sometimes(
            level.grid_mask,
            GRID_NUMBERS,
            partial(
                grid_mask,
                unit=(level.grid_mask_unit_min, level.grid_mask_unit_max),
                keep=level.grid_mask_keep,
                degrees=level.grid_mask_degrees,
                fill=fill,
            ),
        ),
    ]
    return Augment(exact, varied)


def _sometimes(probability: float, numbers: int, kernel: Kernel) -> list[Stage]:
    return [Sometimes(probability, numbers, kernel)] if probability else []
