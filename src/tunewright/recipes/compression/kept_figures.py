"""What classical codecs made of a picture, kept between evaluations: it depends on nothing else."""

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path

from tunewright.errors import NotWritten
from tunewright.recipes.compression.fidelity import Fidelity, Picture
from tunewright.runs.atomic import read_json, write_json

VERSION = 2
"""Of how pictures are compared; figures of another one are measured again."""


class KeptFigures:
    """Bits per pixel and fidelity of one picture, by what was done to it.

    folder: where files lie, one a picture, named for its pixels; None keeps nothing.
    """

    def __init__(self, picture: Picture, folder: Path | None) -> None:
        self._file: Path | None = None
        self._known: dict[str, tuple[float, Fidelity]] = {}
        if folder is not None:
            digest = hashlib.blake2b(f"{VERSION} {picture.shape}".encode(), digest_size=16)
            digest.update(picture.tobytes())
            self._file = folder / f"{digest.hexdigest()}.json"
            with contextlib.suppress(OSError):
                for name, (bpp, psnr, ms_ssim) in (read_json(self._file) or {}).items():
                    self._known[name] = (bpp, Fidelity(psnr, ms_ssim))

    def get(self, name: str) -> tuple[float, Fidelity] | None:
        """What is known of it, if anything."""
        return self._known.get(name)

    def add(self, figures: Mapping[str, tuple[float, Fidelity]]) -> None:
        """Keep these too; a folder that cannot be written costs time later, and nothing else."""
        if self._file is None or not figures:
            return
        self._known |= figures
        plain = {name: [bpp, *astuple(near)] for name, (bpp, near) in self._known.items()}
        with contextlib.suppress(NotWritten):
            write_json(self._file, plain)
