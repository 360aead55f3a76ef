"""Draw what retrieval finds: queries and their first results, each marked right or wrong."""

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from tunewright.contrastive.retrieval import unique_rows
from tunewright.errors import DataError
from tunewright.images.sources.decode import PictureSource
from tunewright.recipes.pairs.data.pair_files import PairSet
from tunewright.runs.atomic import write_with

QUERIES, RESULTS = 8, 5
TILE, GAP, CAPTION = 96, 10, 300
"""Pixels: the side of a picture, the space around it, the width of a query."""
MARK = 18
"""Pixels of the side of a mark."""
INK, RIGHT, WRONG, PAPER = "#22313f", "#2e7d32", "#c62828", "#ffffff"


def draw_retrieval(pairs: PairSet, images: Tensor, texts: Tensor, ids: Tensor, file: Path) -> bool:
    """Draw a few random texts with the nearest images; return False without pictures.

    images, texts: unit vectors [N, d], one row a pair; ids: [N, 2], the image and the text of
    each row. A result is right if any row pairs it with the query's text.
    """
    names = pairs.metadata.get("image_files")
    root = pairs.metadata.get("image_root")
    if not names or not root:
        return False
    generator = torch.Generator().manual_seed(0)  # every evaluation draws the same queries
    rows = torch.randperm(len(ids), generator=generator)[:QUERIES]
    gallery = unique_rows(ids[:, 0])
    nearest = gallery[(texts[rows] @ images[gallery].T).topk(min(RESULTS, len(gallery))).indices]
    width = CAPTION + nearest.shape[1] * (TILE + GAP) + GAP
    sheet = Image.new("RGB", (width, len(rows) * (TILE + GAP) + GAP + 24), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 8), "query", fill=INK, font=_font(14))
    draw.text(
        (CAPTION + GAP, 8),
        "nearest images; a check: right, a cross: wrong",
        fill=INK,
        font=_font(14),
    )
    try:
        with PictureSource(pairs.folder / root) as pictures:
            for line, row in enumerate(rows.tolist()):
                top = 24 + GAP + line * (TILE + GAP)
                _query(sheet, draw, pairs, row, top)
                for place, found in enumerate(nearest[line].tolist()):
                    left = CAPTION + GAP + place * (TILE + GAP)
                    sheet.paste(_tile(pictures.open(names[found])), (left, top))
                    positives = ids[ids[:, 1] == ids[row, 1], 0]
                    colour = RIGHT if ids[found, 0] in positives else WRONG
                    frame = (left - 3, top - 3, left + TILE + 2, top + TILE + 2)
                    draw.rectangle(frame, outline=colour, width=3)
                    _mark(draw, left + TILE - MARK - 2, top + 2, right=colour == RIGHT)
    except DataError:
        return False  # the pictures have moved since they were embedded
    content = io.BytesIO()
    sheet.save(content, "PNG")
    write_with(file, lambda place: _fill(place, content.getvalue()))
    return True


def _mark(draw: ImageDraw.ImageDraw, left: int, top: int, *, right: bool) -> None:
    """Draw a check or a cross in a corner: colours alone do not tell everybody."""
    size = MARK
    draw.rectangle((left, top, left + size, top + size), fill=RIGHT if right else WRONG)
    lines = [((0.2, 0.2), (0.8, 0.8)), ((0.2, 0.8), (0.8, 0.2))]
    if right:
        lines = [((0.15, 0.55), (0.4, 0.8)), ((0.4, 0.8), (0.85, 0.25))]
    for ends in lines:
        points = [(left + x * size, top + y * size) for x, y in ends]
        draw.line(points, fill=PAPER, width=3)


def _query(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, pairs: PairSet, row: int, top: int
) -> None:
    left = GAP
    files, root = pairs.metadata.get("text_files"), pairs.metadata.get("text_root")
    root = root or pairs.metadata.get("image_root")
    if files and root:
        with PictureSource(pairs.folder / root) as pictures:
            sheet.paste(_tile(pictures.open(files[row])), (left, top))
        left += TILE + GAP
    captions = pairs.metadata.get("texts")
    text = str(captions[row]) if captions else f"row {row}"
    draw.multiline_text((left, top + 4), _wrap(text, CAPTION - left), fill=INK, font=_font(14))


def _wrap(text: str, pixels: int) -> str:
    lines: list[str] = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _font(14).getlength(longer) > pixels and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    kept: Sequence[str] = lines[:5]
    return "\n".join(kept)


def _tile(picture: Image.Image) -> Image.Image:
    picture.thumbnail((TILE, TILE))
    if max(picture.size) < TILE:
        scale = TILE / max(picture.size)
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), 0)
    tile = Image.new("RGB", (TILE, TILE), "#f4f6f8")
    tile.paste(picture, ((TILE - picture.width) // 2, (TILE - picture.height) // 2))
    return tile


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _fill(place: Path, content: bytes) -> None:
    place.write_bytes(content)
