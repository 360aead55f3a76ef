"""The embedded data set of `longtail`: scikit-learn's handwritten digits, made long-tailed."""

import csv
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

MOST, FEWEST = 120, 6
"""Training pictures of the most and of the least frequent class: an imbalance of 20."""
VALID, TEST = 20, 30
"""Pictures of each class, so that both splits are balanced."""
SIDE = 16
"""Pixels of a picture; the digits have 8, each is four pixels here."""


def write_digits(folder: Path) -> None:
    """Write `index.csv` and `digits.zip`: 10 classes, 0 the most frequent and 9 the rarest.

    The counts fall geometrically (Cui et al., CVPR 2019, section 5.1): 120, 86, 62, ..., 6. The
    pictures are drawn with a fixed seed, so every machine has the same set.
    """
    digits = load_digits()
    draws = np.random.default_rng(0)
    rows: list[tuple[str, str, str]] = []
    with zipfile.ZipFile(folder / "digits.zip", "w") as archive:
        for label in range(10):
            order = draws.permutation(np.flatnonzero(digits.target == label))
            train = round(MOST * (FEWEST / MOST) ** (label / 9))
            splits = ["valid"] * VALID + ["test"] * TEST + ["train"] * train
            for row, split in zip(order[: len(splits)], splits, strict=True):
                name = f"{split}/{label}/{row:04}.png"
                archive.writestr(zipfile.ZipInfo(name), _png(digits.images[row]))
                rows.append((name, str(label), split))
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("file", "label", "split"))
        table.writerows(sorted(rows))


def _png(digit: np.ndarray) -> bytes:
    """Encode a digit of 8 x 8 values from 0 to 16 as PNG, white on black."""
    pixels = np.rint(digit * (255 / 16)).astype(np.uint8).repeat(SIDE // 8, 0).repeat(SIDE // 8, 1)
    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()
