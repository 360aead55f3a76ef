"""Pictures to classify by their colour, drawn: most are easy, some lie between two classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("blue", "green", "red")
COLOURS = np.array([[90, 100, 160], [100, 150, 90], [160, 95, 100]])
SIDES = ("left", "right")


def draw(label: int, number: int, *, pixels: int = 16, noise: float = 60.0) -> Image.Image:
    """A square of the class's colour, off by chance, in so much noise."""
    drawn = np.random.default_rng([label, number])
    colour = COLOURS[label] + drawn.normal(0.0, 25.0, 3)
    square = np.tile(colour, (pixels, pixels, 1)) + drawn.normal(0.0, noise, (pixels, pixels, 3))
    return Image.fromarray(square.clip(0, 255).astype(np.uint8))


def draw_side(label: int, number: int, *, pixels: int = 16) -> Image.Image:
    """A grey square that is brighter on the side that it is called after."""
    drawn = np.random.default_rng([label, number])
    square = drawn.normal(110.0, 40.0, (pixels, pixels, 3))
    half = slice(0, pixels // 2) if label == 0 else slice(pixels // 2, pixels)
    square[:, half] += 40.0
    return Image.fromarray(square.clip(0, 255).astype(np.uint8))


def draw_set(folder: Path, counts: Sequence[int] = (30, 24, 15), *, sides: bool = False) -> Path:
    """Class folders of PNG files under `folder`, so many of each class; and a folder of them.

    sides: two classes that a mirror swaps, in place of three colours.
    """
    drawing, names = (draw_side, SIDES) if sides else (draw, CLASSES)
    for label, (name, count) in enumerate(zip(names, counts, strict=False)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            drawing(label, number).save(folder / name / f"{number:03d}.png")
    return folder


def draw_test(folder: Path, count: int = 20) -> Path:
    """Pictures without labels, one of each class in turn, under names that are in no order."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        draw(number % 3, 1000 + number).save(folder / f"img_{(7 * number) % count}.png")
    return folder
