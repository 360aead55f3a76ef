"""Fit pictures of any shape to the square of pixels that a model takes."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from tunewright.images.dataset.config import Resize

Pixels = npt.NDArray[np.uint8]

LETTERBOX_FILL = (124, 116, 104)
"""RGB of the borders of `letterbox`: ImageNet's mean, which is about 0 once normalised."""

THIN = 8
"""Long by short side from which `crop` cuts before it scales, too."""


class SquareInput(NamedTuple):
    """What a model takes: the side of a square in pixels, and how pictures are fitted to it."""

    size: int
    resize: Resize = "squash"


def as_uint8(image: Image.Image, size: int, resize: Resize = "squash") -> Pixels:
    """Convert an upright RGB picture to the pixels that models get everywhere: [3, size, size].

    Resampling is antialiased bilinear (Pillow's, the same as timm and torchvision use on pictures);
    a picture of that size is not resampled. resize: `squash` scales both sides to `size`; `crop`
    scales the shorter side to it and cuts out the centre, exactly as torchvision's `Resize(size)`
    and `CenterCrop(size)` do; `letterbox` scales the longer side to it and fills the rest, in equal
    parts on both sides, with `LETTERBOX_FILL`.
    """
    if image.size != (size, size):
        image = FITS[resize](image, size)
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))


def _squash(image: Image.Image, size: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.BILINEAR)


def _crop(image: Image.Image, size: int) -> Image.Image:
    short = min(image.size)
    if max(image.size) > THIN * short:  # scaled whole, 2 x 20,000 would fill the memory
        width, height = (min(side, THIN * short) for side in image.size)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
    # Of 600 x 400 at 224 pixels: 336 x 224, cut from column 56. Rounds as torchvision does.
    width, height = (int(size * side / short) for side in image.size)
    left, top = (round((side - size) / 2.0) for side in (width, height))
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    return scaled.crop((left, top, left + size, top + size))


def _letterbox(image: Image.Image, size: int) -> Image.Image:
    longest = max(image.size)
    # Of 600 x 400 at 224 pixels: 224 x 149, pasted at row 37. A thin picture keeps one pixel.
    width, height = (max(1, round(size * side / longest)) for side in image.size)
    square = Image.new("RGB", (size, size), LETTERBOX_FILL)
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    square.paste(scaled, ((size - width) // 2, (size - height) // 2))
    return square


FITS = {"squash": _squash, "crop": _crop, "letterbox": _letterbox}
