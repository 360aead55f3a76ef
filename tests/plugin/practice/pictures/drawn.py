"""Pictures to classify by their colour, drawn: some easy, some between two classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("blue", "green", "red")
COLOURS = np.array([[40, 60, 200], [50, 170, 60], [200, 60, 50]])


def draw(label: int, number: int, *, pixels: int = 16, noise: float = 60.0) -> Image.Image:
    """A square of the class's colour, brighter on the left, in so much noise."""
    drawn = np.random.default_rng([label, number])
    colour = COLOURS[label] + drawn.normal(0.0, 25.0, 3)
    square = np.tile(colour, (pixels, pixels, 1)) + drawn.normal(0.0, noise, (pixels, pixels, 3))
    square[:, : pixels // 2] += 25.0
    return Image.fromarray(square.clip(0, 255).astype(np.uint8))


def draw_set(folder: Path, counts: Sequence[int] = (24, 16, 8), *, noise: float = 60.0) -> Path:
    """Class folders of PNG files under `folder`, so many of each class; and a folder of them."""
    for label, (name, count) in enumerate(zip(CLASSES, counts, strict=True)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            draw(label, number, noise=noise).save(folder / name / f"{number:03d}.png")
    return folder


def draw_test(folder: Path, count: int = 20) -> Path:
    """Pictures without labels, one in each class in turn, under names that sort in no order."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        draw(number % 3, 1000 + number).save(folder / f"img_{(7 * number) % count}.png")
    return folder
