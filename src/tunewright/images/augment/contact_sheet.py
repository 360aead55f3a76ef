"""Contact sheets: training pictures next to augmented versions of them, for inspection."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from tunewright.runs.atomic import NAMED, write_with

Vary = Callable[[Tensor, torch.Generator], Tensor]
"""Maps uint8 pictures [N, 3, S, S] and a CPU generator to floats [N, 3, S, S] in [0, 1]."""

LARGE, SMALL = 192, 96
"""Pixels: pictures above LARGE are reduced, those below SMALL enlarged by a whole factor."""
GAP, GROUP_GAP, MARGIN = 4, 20, 16
FONT, TITLE_FONT = 16, 20
LABEL_WIDTH = 220
END_OF_LATIN = 0x180
BACKGROUND, INK, FAINT = "white", "black", "#666666"


@dataclass(frozen=True)
class Column:
    """One heading of the sheet: how its pictures are varied, and how many draws are shown."""

    name: str
    vary: Vary
    draws: int


def contact_sheet(
    images: Tensor,
    labels: Sequence[str],
    columns: Sequence[Column],
    *,
    title: str = "",
    seed: int = 0,
) -> Image.Image:
    """Draw one row per picture: its label, the picture, and the draws under each heading.

    images: uint8 [N, 3, S, S], N at least 1. Small pictures are enlarged without smoothing, so that
    their pixels stay visible; large ones are reduced.
    """
    side = shown_side(images.shape[-1])
    cells = [("as it is", [images])] + [(c.name, _draw(images, c, seed)) for c in columns]
    font, bold = (ImageFont.load_default(size) for size in (FONT, TITLE_FONT))
    wide = max(min(LABEL_WIDTH, _width(label, font)) for label in labels)
    # A heading may be wider than the pictures under it.
    widths = [max(len(drawn) * (side + GAP) - GAP, _width(name, font)) for name, drawn in cells]
    left = MARGIN + wide + GROUP_GAP
    top = MARGIN + (TITLE_FONT + MARGIN if title else 0) + FONT + 2 * GAP
    size = (
        max(
            left + sum(widths) + GROUP_GAP * (len(cells) - 1) + MARGIN,
            2 * MARGIN + _width(title, bold),
        ),
        top + len(images) * (side + GAP) - GAP + MARGIN,
    )
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), title, INK, bold)
    for row, label in enumerate(labels):
        middle = top + row * (side + GAP) + side // 2
        draw.text((MARGIN, middle), shorten(label, LABEL_WIDTH, font), INK, font, "lm")
    for (name, drawn), width in zip(cells, widths, strict=True):
        draw.text((left, top - FONT - 2 * GAP), name, FAINT if drawn[0] is images else INK, font)
        for at, varied in enumerate(drawn):
            for row, picture in enumerate(varied):
                place = (left + at * (side + GAP), top + row * (side + GAP))
                sheet.paste(_resize(picture, side), place)
        left += width + GROUP_GAP
    return sheet


def write_contact_sheet(sheet: Image.Image, file: Path) -> None:
    """Write a PNG file atomically; raises NotWritten if the disk refuses it."""
    write_with(file, lambda path: sheet.save(path, format="PNG"), remedy=NAMED)


def shown_side(size: int) -> int:
    """Return the side in pixels at which a picture of `size` is shown on the sheet."""
    if size >= SMALL:
        return min(size, LARGE)
    return size * -(-SMALL // size)


def legible(label: str) -> bool:
    """Return whether the sheet's font, which comes with Pillow, has a glyph for every letter."""
    return label.isprintable() and all(ord(letter) < END_OF_LATIN for letter in label)


def shorten(label: str, width: int, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont") -> str:
    """Return the label, cut off if it is wider than `width` pixels."""
    if _width(label, font) <= width:
        return label
    while label and _width(label + "...", font) > width:
        label = label[:-1]
    return label + "..."


def _draw(images: Tensor, column: Column, seed: int) -> list[Tensor]:
    """Return the draws of a column, uint8 [N, 3, S, S] each."""
    generator = torch.Generator().manual_seed(seed)
    return [
        column.vary(images, generator).mul(255).round().to(torch.uint8) for _ in range(column.draws)
    ]


def _resize(picture: Tensor, side: int) -> Image.Image:
    """Convert uint8 [3, S, S] to a picture at the size of the sheet."""
    pixels = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
    whole = side >= picture.shape[-1]
    how = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
    return Image.fromarray(pixels).resize((side, side), how)


def _width(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont") -> int:
    return int(font.getlength(text)) + 1
