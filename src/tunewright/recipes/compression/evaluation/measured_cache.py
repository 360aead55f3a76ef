"""Keep what one model reached on one picture, so that a comparison goes on where it stopped."""

import contextlib
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.errors import NotWritten
from tunewright.recipes.compression.evaluation.fidelity import Picture
from tunewright.runs.atomic import read_json, write_json

if TYPE_CHECKING:
    from tunewright.recipes.compression.codec.trained_compressor import TrainedCompressor

VERSION = 1
"""Of the figures; those of another version are measured again."""
NEEDED = ("bytes", "bpp", "bpp_estimated", "psnr", "encode_seconds", "decode_seconds")

Stored = tuple[dict[str, Any], tuple[str, ...]]
"""The row of a picture as `measure` makes it, and the notices about its file."""


class MeasuredPictureCache:
    """Caches the row of a picture; its key is the model's fingerprint, the device, the pixels.

    folder: where the files are; None caches nothing.
    """

    def __init__(self, opened: "TrainedCompressor", picture: Picture, folder: Path | None) -> None:
        self._file: Path | None = None
        if folder is not None:
            digest = hashlib.blake2b(f"{VERSION} {picture.shape}".encode(), digest_size=16)
            digest.update(picture.tobytes())
            model = f"{opened.fingerprint.hex()}-{opened.device.type}"
            self._file = folder / model / f"{digest.hexdigest()}.json"

    def get(self) -> Stored | None:
        """Return the cached row and notices; None where there are none, or they are damaged."""
        if self._file is None:
            return None
        stored = read_json(self._file) or {}
        row, notices = stored.get("row"), stored.get("notices")
        if not isinstance(row, Mapping) or not isinstance(notices, list):
            return None
        whole = all(isinstance(v := row.get(k), int | float) and math.isfinite(v) for k in NEEDED)
        return (dict(row), tuple(map(str, notices))) if whole else None

    def set(self, row: Mapping[str, Any], notices: tuple[str, ...]) -> None:
        """Cache a row; a folder that cannot be written is ignored."""
        if self._file is not None:
            with contextlib.suppress(NotWritten):
                write_json(self._file, {"row": dict(row), "notices": list(notices)})
