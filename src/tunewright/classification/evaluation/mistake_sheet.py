"""A sheet of the worst mistakes: picture, true class, predicted class, probabilities."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tunewright.errors import DataError
from tunewright.images.image_table import ImageTable
from tunewright.images.sources.reader import PictureReader
from tunewright.runs.atomic import write_with

TILE, GAP, LINE, COLUMNS = 144, 14, 17, 6
"""Pixels: a picture's side, the space around it, the height of a line of text."""
INK, RIGHT, WRONG, PAPER, EMPTY = "#22313f", "#2e7d32", "#c62828", "#ffffff", "#f4f6f8"


@dataclass(frozen=True)
class Mistake:
    """Row `row` of a table, its true and predicted class, and the probability of each."""

    row: int
    true: str
    said: str
    confidence: float
    of_true: float


def draw_mistakes(
    table: ImageTable, mistakes: Sequence[Mistake], file: Path, *, title: str = ""
) -> bool:
    """Draw mistakes in order as a PNG; returns False if no picture can be shown."""
    if not mistakes:
        return False
    reader = PictureReader()
    tiles = [_tile(reader, table, mistake.row) for mistake in mistakes]
    reader.close()
    if all(tile is None for tile in tiles):
        return False
    columns = min(COLUMNS, len(mistakes))
    lines = -(-len(mistakes) // columns)
    cell = TILE + 4 * LINE + GAP
    top = 2 * LINE + GAP if title else GAP
    sheet = Image.new("RGB", (columns * (TILE + GAP) + GAP, top + lines * cell), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, LINE - 4), _cut(title, sheet.width - 2 * GAP, 15), fill=INK, font=_font(15))
    for index, (mistake, tile) in enumerate(zip(mistakes, tiles, strict=True)):
        left = GAP + index % columns * (TILE + GAP)
        upper = top + index // columns * cell
        if tile is None:
            draw.rectangle((left, upper, left + TILE, upper + TILE), fill=EMPTY)
        else:
            sheet.paste(tile, (left, upper))
        below = upper + TILE + 3
        for text, colour in (
            (table.ids[mistake.row], INK),
            (f"true {mistake.true} ({mistake.of_true:.2f})", RIGHT),
            (f"predicted {mistake.said} ({mistake.confidence:.2f})", WRONG),
        ):
            draw.text((left, below), _cut(text, TILE, 13), fill=colour, font=_font(13))
            below += LINE
    content = io.BytesIO()
    sheet.save(content, "PNG")
    write_with(file, lambda place: place.write_bytes(content.getvalue()))
    return True


def _tile(reader: PictureReader, table: ImageTable, row: int) -> Image.Image | None:
    try:
        picture = reader.picture(table.places[row])
    except DataError:
        return None
    scale = TILE / max(picture.size)
    sides = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    # Small pictures keep their pixels visible; large ones are smoothed.
    picture = picture.resize(sides, Image.Resampling.NEAREST if scale > 1 else None)
    tile = Image.new("RGB", (TILE, TILE), EMPTY)
    tile.paste(picture, ((TILE - picture.width) // 2, (TILE - picture.height) // 2))
    return tile


def _cut(text: str, pixels: int, size: int) -> str:
    """Return the text, without its beginning if it is too wide: names differ at their ends."""
    if _font(size).getlength(text) <= pixels:
        return text
    while text and _font(size).getlength("…" + text) > pixels:
        text = text[1:]
    return "…" + text


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
