"""The embedded data set of `flowers`: pictures drawn by this program, not photographs."""

import colorsys
import csv
import math
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

VERSION = 1
"""Version of the written data; change it when the pictures change."""
SIDE = 64
"""Pixels a side; a picture is drawn four times as large, then reduced."""
COUNTS = {"train": 24, "valid": 10, "test": 10}
"""Pictures of each kind."""


@dataclass(frozen=True)
class Kind:
    """What distinguishes one kind of drawn flower from another.

    petals: their number in each of `rings`. width: of a petal, relative to its length. colour: of
    the petals, as hue, saturation and value from 0 to 1. heart: radius of the centre, relative to
    the petals' length. Kinds share colours on purpose.
    """

    name: str
    petals: int
    width: float
    colour: tuple[float, float, float]
    heart: float
    rings: int = 1


KINDS = (
    Kind("drawn daisy", 13, 0.22, (0.14, 0.08, 0.98), 0.30),
    Kind("drawn sunflower", 16, 0.26, (0.13, 0.85, 0.98), 0.50),
    Kind("drawn buttercup", 5, 0.75, (0.15, 0.80, 0.98), 0.20),
    Kind("drawn violet", 5, 0.60, (0.76, 0.65, 0.75), 0.15),
    Kind("drawn cornflower", 10, 0.32, (0.63, 0.75, 0.90), 0.25),
    Kind("drawn poppy", 4, 0.95, (0.00, 0.85, 0.90), 0.28),
    Kind("drawn rose", 7, 0.70, (0.95, 0.70, 0.85), 0.15, rings=3),
    Kind("drawn tulip", 3, 0.80, (0.98, 0.80, 0.90), 0.12),
)


def write_flowers(folder: Path) -> None:
    """Write `index.csv` and `flowers.zip`: 8 kinds, each picture with its own light and meadow."""
    rows: list[tuple[str, str, str, str]] = []
    with zipfile.ZipFile(folder / "flowers.zip", "w") as archive:
        for label, kind in enumerate(KINDS):
            draws = np.random.default_rng([VERSION, label])
            for split, count in COUNTS.items():
                for number in range(count):
                    name = f"{split}/{label}/{number:03}.png"
                    archive.writestr(zipfile.ZipInfo(name), _png(draw_flower(kind, draws)))
                    rows.append((name, str(label), kind.name, split))
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("file", "label", "class", "split"))
        table.writerows(sorted(rows))


def draw_flower(kind: Kind, draws: np.random.Generator) -> Image.Image:
    """Draw one flower somewhere in a meadow: [SIDE, SIDE] RGB."""
    side = 4 * SIDE
    picture = _meadow(side, draws)
    brush = ImageDraw.Draw(picture)
    centre = draws.uniform(0.35, 0.65, 2) * side
    length = draws.uniform(0.24, 0.40) * side
    brush.line(
        [tuple(centre), (centre[0] + draws.uniform(-0.2, 0.2) * side, side)],
        fill=_rgb((0.33, 0.7, 0.35)),
        width=side // 40,
    )
    hue = (kind.colour[0] + draws.normal(0, 0.015)) % 1.0
    squeeze, turn = draws.uniform(0.75, 1.0), draws.uniform(0, 2 * math.pi)
    for ring in range(kind.rings):
        reach = length * (1.0 - 0.28 * ring)
        shade = kind.colour[2] * (1.0 - 0.10 * ring)
        for petal in range(kind.petals):
            angle = 2 * math.pi * (petal + 0.5 * ring) / kind.petals + turn + draws.normal(0, 0.06)
            value = min(1.0, shade * draws.uniform(0.85, 1.05))
            outline = _petal(centre, angle, reach * draws.uniform(0.9, 1.1), kind.width, squeeze)
            brush.polygon(outline, fill=_rgb((hue, kind.colour[1], value)))
    radius = length * kind.heart
    reach_of_heart = np.array([radius, radius * squeeze])
    corners = [tuple(centre - reach_of_heart), tuple(centre + reach_of_heart)]
    brush.ellipse(corners, fill=_rgb((0.10, 0.8, draws.uniform(0.45, 0.8))))
    picture = picture.filter(ImageFilter.GaussianBlur(draws.uniform(0.0, 4.0)))
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    sun = draws.uniform(0.7, 1.15)
    noisy = small * sun + draws.normal(0, 6.0, small.shape)
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def _petal(
    centre: np.ndarray, angle: float, length: float, width: float, squeeze: float
) -> list[tuple[float, float]]:
    """Return the corners (x, y) of a leaf-shaped outline from the centre outwards."""
    along = np.linspace(0.0, 1.0, 12)
    across = 0.5 * width * np.sin(math.pi * along**0.8)
    shape = np.concatenate([np.stack([along, across], 1), np.stack([along, -across], 1)[::-1]])
    turned = shape @ np.array(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    points = centre + length * turned * [1.0, squeeze]
    return [(float(x), float(y)) for x, y in points]


def _meadow(side: int, draws: np.random.Generator) -> Image.Image:
    """Draw a background of blurred greens and browns: [side, side] RGB."""
    coarse = np.empty((6, 6, 3), dtype=np.uint8)
    for spot in coarse.reshape(-1, 3):
        spot[:] = _rgb(
            (draws.uniform(0.12, 0.42), draws.uniform(0.3, 0.8), draws.uniform(0.1, 0.6))
        )
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def _rgb(hsv: tuple[float, float, float]) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(*hsv)
    return round(255 * red), round(255 * green), round(255 * blue)


def _png(picture: Image.Image) -> bytes:
    content = BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
