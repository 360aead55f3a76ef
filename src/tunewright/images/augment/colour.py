"""Change the colours of whole batches, each picture by its own factors.

Brightness, contrast and saturation are one colour matrix per picture; hue and HSV shifts are one
pass through HSV. `torchvision.transforms.v2` would use the same factors for the whole batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tunewright.images.augment.config import AugmentationLevel
from tunewright.images.augment.transforms import on_rows, per_image, uniform_around, uniform_between

GREY = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in grey, the same as torchvision's (ITU-R BT.601)."""
TINY = 1e-12
"""Smallest denominator; it replaces a 0, and the numerator is 0 in that case too."""


@dataclass(frozen=True)
class Colouring:
    """Jitter, brightness and contrast, HSV shifts and gamma, in this order; clamped to [0, 1].

    Within the jitter the order is brightness, contrast, saturation, hue.
    """

    level: AugmentationLevel
    numbers: int = 14

    def __call__(self, images: Tensor, uniform: Tensor) -> Tensor:
        """Change the pictures, in place if possible."""
        level = self.level
        jitter = uniform[:, 0] < level.jitter
        linear = uniform[:, 5] < level.brightness_contrast
        hsv = uniform[:, 8] < level.hsv
        gamma = uniform[:, 12] < level.gamma

        brightness = torch.where(
            jitter, uniform_around(uniform[:, 1], 1.0, level.jitter_brightness), 1.0
        )
        contrast = torch.where(
            jitter, uniform_around(uniform[:, 2], 1.0, level.jitter_contrast), 1.0
        )
        saturation = torch.where(
            jitter, uniform_around(uniform[:, 3], 1.0, level.jitter_saturation), 1.0
        )
        hue = torch.where(jitter, uniform_around(uniform[:, 4], 0.0, level.jitter_hue), 0.0)
        factor = torch.where(linear, uniform_around(uniform[:, 6], 1.0, level.contrast_limit), 1.0)
        plus = torch.where(linear, uniform_around(uniform[:, 7], 0.0, level.brightness_limit), 0.0)
        shift = torch.where(
            hsv[:, None],
            uniform_around(uniform[:, 9:12], 0.0, 1.0)
            * torch.tensor(
                [level.hsv_hue / 180, level.hsv_saturation / 255, level.hsv_value / 255]
            ),
            0.0,
        )
        hue = hue + shift[:, 0]
        exponent = uniform_between(uniform[:, 13], level.gamma_min / 100, level.gamma_max / 100)

        images = on_rows(
            images,
            jitter | linear,
            lambda chosen, rows: blend(
                chosen,
                brightness[rows],
                contrast[rows],
                saturation[rows],
                factor[rows],
                plus[rows],
            ),
        )
        images = on_rows(
            images,
            (hue != 0) | hsv,
            lambda chosen, rows: shift_hsv(chosen, hue[rows], shift[rows, 1], shift[rows, 2]),
        )
        return on_rows(
            images, gamma, lambda chosen, rows: chosen.pow_(per_image(exponent[rows], chosen))
        )


def blend(
    images: Tensor,
    brightness: Tensor,
    contrast: Tensor,
    saturation: Tensor,
    factor: Tensor,
    plus: Tensor,
) -> Tensor:
    """Apply torchvision's brightness, contrast and saturation, then pixels * factor + plus.

    images: [K, 3, S, S] in [0, 1]; the others [K], on the CPU. All steps are linear, so they are
    one matrix per picture; values outside [0, 1] are clamped once, at the end.
    """
    grey = torch.tensor(GREY)
    own = factor * brightness * contrast
    matrix = (own * saturation)[:, None, None] * torch.eye(3)
    matrix = matrix + (own * (1 - saturation))[:, None, None] * grey  # grey goes to every channel
    # Contrast c blends with the picture's mean grey: c * x + (1 - c) * mean. With c = 0.5 and
    # mean 0.4, x = 0.8 becomes 0.6. The mean is known on the picture's device only.
    of_mean = factor * brightness * (1 - contrast) * (saturation + (1 - saturation) * grey.sum())
    device, dtype = images.device, images.dtype
    mean = images.mean(dim=(2, 3)) @ grey.to(device, dtype)
    bias = mean * of_mean.to(device, dtype) + plus.to(device, dtype)
    flat = images.flatten(2)
    mixed = torch.baddbmm(bias[:, None, None], matrix.to(device, dtype), flat)
    return mixed.clamp_(0.0, 1.0).view_as(images)


def shift_hsv(images: Tensor, hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Rotate the hue, and add to saturation and value; each [K] on the CPU, 1 is the full range.

    images: [K, 3, S, S] in [0, 1]. With nothing added to saturation and value this is torchvision's
    `adjust_hue`.
    """
    high, low = images.amax(dim=1), images.amin(dim=1)
    chroma = high - low
    # In place, since on a CPU new memory costs more than the arithmetic; and by products with
    # masks of 0 and 1, since torch.where takes 20 times as long there.
    images.sub_(low[:, None]).div_(chroma.clamp(min=TINY)[:, None])
    red, green, blue = images.unbind(dim=1)
    is_red = red.floor()  # exactly 1 for the highest channel, which was divided by itself
    is_green = green.floor()
    is_green.addcmul_(is_green, is_red, value=-1)
    is_blue = blue.floor()
    is_blue.addcmul_(is_blue, is_red, value=-1).addcmul_(is_blue, is_green, value=-1)
    term = low
    angle = torch.sub(green, blue).mul_(is_red)  # in sixths of the circle
    angle += torch.sub(blue, red, out=term).add_(2).mul_(is_green)
    angle += torch.sub(red, green, out=term).add_(4).mul_(is_blue)
    angle += per_image(hue * 6, images).squeeze(1)
    if saturation.any() or value.any():
        share = chroma.div_(high.clamp(min=TINY))
        share.add_(per_image(saturation, images).squeeze(1)).clamp_(0.0, 1.0)
        high.add_(per_image(value, images).squeeze(1)).clamp_(0.0, 1.0)
        chroma = share.mul_(high)
    # channel = value - chroma * clamp(2 - |(angle + offset) mod 6 - 2|, 0, 1), offsets 5, 3, 1.
    # Pure red (angle 0, value = chroma = 1): weights 0, 1, 1 give (1, 0, 0).
    turns = is_red
    for channel, offset in enumerate((5, 3, 1)):
        torch.add(angle, offset, out=term)
        term.sub_(torch.div(term, 6, out=turns).floor_(), alpha=6)
        weight = term.sub_(2).abs_().neg_().add_(2).clamp_(0.0, 1.0)
        torch.addcmul(high, chroma, weight, value=-1, out=images[:, channel])
    return images


def equalise(images: Tensor, _uniform: Tensor) -> Tensor:
    """Flatten the histogram of each channel of each picture: uint8 [K, 3, S, S]."""
    from torchvision.transforms.v2 import functional as tv  # 0.3 s to import, and only here

    equalised: Tensor = tv.equalize(images)
    return equalised
