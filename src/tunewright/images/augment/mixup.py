"""MixUp and CutMix: mix each picture of a batch, and its label, with another one."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tunewright.images.augment.config import MixingConfig
from tunewright.images.augment.transforms import put_rows


@dataclass(frozen=True)
class Mix:
    """Mixes some pictures of a batch, each with its own ratio; made by `make_mix`."""

    config: MixingConfig

    def __call__(
        self, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mix pictures [B, 3, S, S], normalised or not, in place, with others of the same batch.

        Returns the pictures, the labels of the pictures mixed in, [B] or [B, C] as given, and the
        weight [B] of the original ones: float32, 1 for a picture that was not mixed. generator: on
        the CPU.
        """
        count, device = len(images), images.device
        partners = torch.randperm(count, generator=generator)
        mixed, switched, down, right = torch.rand(4, count, generator=generator).unbind()
        draw = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        cutting = self._cutting(switched) & (mixed < self.config.mix_prob)
        blending = ~self._cutting(switched) & (mixed < self.config.mix_prob)
        share = torch.ones(count)
        for rows, alpha in (
            (blending, self.config.mixup_alpha),
            (cutting, self.config.cutmix_alpha),
        ):
            betas = draw.beta(alpha or 1.0, alpha or 1.0, count)
            share = torch.where(rows, torch.from_numpy(betas).float(), share)
        boxes = cutmix_boxes(share, down, right, images.shape[-1])
        share = torch.where(cutting, share_outside(boxes, images.shape[-1]), share)
        changed = []
        for rows, change in ((blending, mixup), (cutting, cutmix)):
            where = rows.nonzero().squeeze(1)
            if len(where):
                own = images.index_select(0, where.to(device, non_blocking=True))
                other = images.index_select(0, partners[where].to(device, non_blocking=True))
                argument = share[where] if change is mixup else boxes[where]
                changed.append((where, change(own, other, argument)))
        for where, result in changed:  # after all of them have seen the pictures as they were
            put_rows(images, where.to(device, non_blocking=True), result)
        touched = torch.where(share < 1, partners, torch.arange(count))
        others = labels[touched.to(labels.device, non_blocking=True)]
        return images, others, share.to(device, non_blocking=True)

    def _cutting(self, switched: Tensor) -> Tensor:
        """Return which pictures would use CutMix rather than MixUp if they are mixed: bool [B]."""
        if self.config.mixup_alpha and self.config.cutmix_alpha:
            return switched < self.config.switch_prob
        return torch.full_like(switched, bool(self.config.cutmix_alpha), dtype=torch.bool)


def make_mix(config: MixingConfig) -> Mix | None:
    """Make the mixer of a configuration; None if it mixes nothing."""
    on = config.mix_prob and (config.mixup_alpha or config.cutmix_alpha)
    return Mix(config) if on else None


def mixup(own: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Blend pictures [K, 3, S, S] as share * own + (1 - share) * other; share: [K], on the CPU.

    Source: Zhang et al. 2018, equation 2; here every picture has its own share.
    """
    weight = share.to(own.device, own.dtype, non_blocking=True).view(-1, 1, 1, 1)
    return torch.lerp(other, own, weight)


def cutmix(own: Tensor, other: Tensor, boxes: Tensor) -> Tensor:
    """Replace the box of each picture, [K, 4] int64 on the CPU, by the same part of `other`."""
    axis = torch.arange(own.shape[-1], device=own.device)
    top, left, bottom, right = boxes.to(own.device, non_blocking=True)[:, :, None].unbind(dim=1)
    rows, columns = (axis >= top) & (axis < bottom), (axis >= left) & (axis < right)
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(inside, other, own)


def cutmix_boxes(share: Tensor, down: Tensor, right: Tensor, size: int) -> Tensor:
    """Return boxes [B, 4] (top, left, bottom, right, int64) with sides of sqrt(1 - share).

    Borders cut them off. down, right: uniform numbers [B], the position of the centre. Source: Yun
    et al. 2019, section 3.1 and its published code, which rounds sides down.
    """
    half = ((1 - share).clamp(min=0).sqrt() * size).long().div(2, rounding_mode="floor")
    corners = []
    for place in (down, right):
        centre = (place * size).long().clamp_(max=size - 1)
        corners.append(((centre - half).clamp_(min=0), (centre + half).clamp_(max=size)))
    (top, bottom), (left, right_) = corners
    return torch.stack((top, left, bottom, right_), dim=1)


def share_outside(boxes: Tensor, size: int) -> Tensor:
    """Return the share of the picture outside its box: CutMix's weight of the own label."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return 1 - area / size**2
