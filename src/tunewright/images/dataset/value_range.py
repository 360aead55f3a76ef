"""Whether the pictures of a set are black but for a few levels, as wrongly scaled ones are."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tunewright.images.image_table import ImageTable, PicturePlace
from tunewright.images.sources.build_table import some
from tunewright.images.sources.decode import DEEP_MODES
from tunewright.images.sources.reader import PictureReader

SAMPLED = 8
"""Pictures of a set that are decoded, spread evenly over it; one that is not black is enough."""
LARGEST = 4_000_000
"""Pixels of a picture up to which it is decoded for this."""
DARK = 3
"""Largest value of 255 in pictures of which something went wrong before they were written."""
_SIDE = 256


def dark_notices(table: ImageTable, place: Path) -> list[str]:
    """Return a notice where no sampled picture has a value above `DARK` of 255."""
    return dark_picture_notices(list(zip(table.ids, table.places, strict=True)), place)


def dark_picture_notices(pictures: Sequence[tuple[str, PicturePlace]], place: Path) -> list[str]:
    """Return the same for pictures that are in no table. pictures: the name of each, and where."""
    count = min(SAMPLED, len(pictures))
    rows = np.linspace(0, len(pictures) - 1, count).astype(int).tolist()
    found: dict[str, int] = {}
    with contextlib.closing(PictureReader()) as reader:
        for row in rows:
            # Each format's decoder has errors of its own, which are told when it is decoded.
            with (
                contextlib.suppress(Exception),
                reader.stream(pictures[row][1]) as stream,
                Image.open(stream) as picture,
            ):
                picture.draft("RGB", (_SIDE, _SIDE))  # JPEG: decoded at a fraction of its size
                if picture.mode.partition(";")[0] in DEEP_MODES:
                    return []
                if picture.width * picture.height <= LARGEST:
                    found[pictures[row][0]] = int(np.asarray(picture.convert("RGB")).max())
                    if found[pictures[row][0]] > DARK:
                        return []
    if not found:
        return []
    return [
        f"no value of {len(found)} pictures of {place} is above {max(found.values())} of 255 "
        f"({some(found)}): they are all but black. Values between 0 and 1 are multiplied by 255 "
        "before they are written with 8 bits"
    ]
