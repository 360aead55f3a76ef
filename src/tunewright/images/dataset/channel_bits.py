"""How many bits the pictures of a set have a channel; colour of more than 8 is read at 8."""

import contextlib
from pathlib import Path

import numpy as np
from PIL import Image, TiffTags

from tunewright.images.image_table import ImageTable
from tunewright.images.sources.build_table import some
from tunewright.images.sources.decode import DEEP_MODES
from tunewright.images.sources.reader import PictureReader

SAMPLED = 64
"""Pictures of a set whose headers are read, spread evenly over it."""
DEEP_FORMATS = (".png", ".tif", ".tiff", ".ppm", ".pnm", ".jp2", ".j2k", ".j2c", ".jpx", ".jpf")
HEAD = 4096
"""Bytes at the beginning of a file that are searched for the header of JPEG 2000."""
SIZ = b"\xff\x4f\xff\x51"
"""How a codestream of JPEG 2000 begins; `SIZ_BITS` after it stands the depth of its first
component, minus one, with the highest bit for signed values (ISO/IEC 15444-1, A.5.1)."""
SIZ_BITS = 42
PNG_BITS = 24
_TIFF_BITS = next(n for n, tag in TiffTags.TAGS_V2.items() if tag.name == "BitsPerSample")


def channel_bits(picture: Image.Image, head: bytes) -> int:
    """Return the bits a channel of an opened file, 8 where its format does not state them.

    head: the first `HEAD` bytes of the file.
    """
    match picture.format:
        case "PNG":
            return max(8, head[PNG_BITS])
        case "TIFF":
            bits = picture.tag_v2.get(_TIFF_BITS, (8,))  # type: ignore[attr-defined]
            return int(max(bits) if isinstance(bits, tuple) else bits)
        case "PPM":
            tiles = getattr(picture, "tile", None)
            arguments = tiles[0][3] if tiles else None
            largest = arguments[1] if isinstance(arguments, tuple) else 255
            return max(8, int(largest).bit_length())
        case "JPEG2000" if (at := head.find(SIZ)) >= 0:
            return max(8, (head[at + SIZ_BITS] & 0x7F) + 1)
    return 8


def deep_colour_notices(table: ImageTable, place: Path) -> list[str]:
    """Return a notice where pictures in colour have more than 8 bits a channel.

    Of large sets, `SAMPLED` headers are read. Deep pictures of one channel need `data.window`.
    """
    rows = np.linspace(0, len(table) - 1, min(SAMPLED, len(table))).astype(int).tolist()
    found: dict[str, int] = {}
    with contextlib.closing(PictureReader()) as reader:
        for row in rows:
            at = table.places[row]
            name = at.member or at.file.name
            if not name.lower().endswith(DEEP_FORMATS):
                continue
            # Each format's decoder has errors of its own, which are told when it is decoded.
            with contextlib.suppress(Exception), reader.stream(at) as stream:
                head = stream.read(HEAD)
                stream.seek(0)
                with Image.open(stream) as picture:
                    bits = channel_bits(picture, head)
                    if bits > 8 and picture.mode.partition(";")[0] not in DEEP_MODES:
                        found[table.ids[row]] = bits
    if not found:
        return []
    depths = ", ".join(map(str, sorted(set(found.values()))))
    return [
        f"pictures of {place} have {depths} bits a channel ({some(found)}): "
        "colour is read at 8 bits"
    ]
