"""Photographs that need no download: pieces of the two that scikit-learn ships."""

from pathlib import Path

import numpy as np
from PIL import Image

from tunewright.runs.cache import make_once

NAME = "photographs"
TRAINED = 480
"""Columns, from the left, to train on; the rest is cut into pieces to validate on."""
PIECES = 3


def embedded_photos(folder: Path) -> Path:
    """Make, once, the embedded photographs in `folder`, and return theirs: `train/`, `valid/`.

    Of each photograph (640 x 427 pixels) the left three quarters are one picture of train, and
    the rest is three of valid, so that no pixel is in both. Source: `china.jpg` and `flower.jpg`
    of scikit-learn (by Yann and dany13, CC BY).
    """
    return make_once(folder / NAME, _make)


def _make(folder: Path) -> None:
    from sklearn.datasets import load_sample_images

    photos = load_sample_images()
    for split in ("train", "valid"):
        (folder / split).mkdir(parents=True)
    for file, pixels in zip(photos.filenames, photos.images, strict=True):
        name = Path(file).stem
        left, right = np.split(pixels, [TRAINED], axis=1)  # [427, 480, 3], [427, 160, 3]
        Image.fromarray(left).save(folder / "train" / f"{name}.png", compress_level=1)
        for number, piece in enumerate(np.array_split(right, PIECES)):
            Image.fromarray(piece).save(folder / "valid" / f"{name}-{number}.png")
