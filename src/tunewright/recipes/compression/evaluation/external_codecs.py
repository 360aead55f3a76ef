"""Codecs that are programs of their own: BPG, and VVC by vvenc or by its reference software VTM.

They are measured only where their encoder and decoder are on the PATH. VVC takes raw video: the
picture is converted by the matrix of BT.709, full range, and back.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from tunewright.recipes.compression.evaluation.fidelity import Picture

Floats = npt.NDArray[np.float64]
SECONDS = 3600.0
"""After which the coding of one picture is given up."""
QUANTIZERS = (47, 42, 37, 32, 27, 22)
"""Quantization parameters, in the order of rising rate."""
VTM_CONFIGURATION = "encoder_intra_vtm.cfg"
RED, BLUE = 0.2126, 0.0722
"""Shares of the luma, BT.709."""


@dataclass(frozen=True)
class ExternalCodec:
    """A codec by its programs. encoder, decoder: their paths. options: shown with the figures."""

    name: str
    encoder: Path
    decoder: Path
    options: str
    qualities: tuple[int, ...] = QUANTIZERS
    configuration: Path | None = None

    @property
    def settings(self) -> str:
        """The program and its options, as shown beside its figures."""
        return f"{self.encoder.name}, {self.options}"

    @cached_property
    def version(self) -> str:
        """What tells one build of the encoder from another: its size and time."""
        stat = self.encoder.stat()
        return f"{self.encoder} {stat.st_size} {stat.st_mtime_ns}"

    def encode(self, picture: Picture, quality: int) -> tuple[int, Picture]:
        """Return the size of the stream in bytes, and the decoded picture.

        Raises OSError with the last line that the program wrote, or when it takes too long.
        """
        with tempfile.TemporaryDirectory(prefix="tunewright-codec-") as place:
            folder = Path(place)
            if self.name == "bpg":
                return self._bpg(picture, quality, folder)
            return self._vvc(picture, quality, folder)

    def _bpg(self, picture: Picture, quality: int, folder: Path) -> tuple[int, Picture]:
        source, coded, decoded = folder / "in.png", folder / "out.bpg", folder / "out.png"
        Image.fromarray(picture).save(source)
        words: list[str | Path] = ["-q", str(quality), "-m", "8", "-f", "444", "-o", coded, source]
        _run([self.encoder, *words], coded)
        _run([self.decoder, "-o", decoded, coded], decoded)
        with Image.open(decoded) as image:
            return coded.stat().st_size, np.asarray(image.convert("RGB"))

    def _vvc(self, picture: Picture, quality: int, folder: Path) -> tuple[int, Picture]:
        height, width = picture.shape[:2]
        source, coded, decoded = folder / "in.yuv", folder / "out.266", folder / "out.yuv"
        half = self.name == "vvenc"  # which codes 4:2:0 alone, and even sides
        planes = to_planes(picture, half=half)
        source.write_bytes(b"".join(plane.tobytes() for plane in planes))
        rows, columns = planes[0].shape
        if half:
            words: Sequence[str | Path] = [
                *("-i", source, "--size", f"{columns}x{rows}", "--format", "yuv420"),
                *("--framerate", "1", "--frames", "1", "--preset", "medium", "--threads", "1"),
                *("--qp", str(quality), "-o", coded),
            ]
        else:
            words = [
                *("-c", str(self.configuration), "-i", source, "-b", coded, "-o", "/dev/null"),
                *("-wdt", str(columns), "-hgt", str(rows), "-fr", "1", "-f", "1"),
                *("--InputChromaFormat=444", "--InputBitDepth=8", "--ConformanceWindowMode=1"),
                *("-q", str(quality)),
            ]
        _run([self.encoder, *words], coded)
        _run([self.decoder, "-b", coded, "-o", decoded, "-d", "8"], decoded)
        found = from_planes(decoded.read_bytes(), rows, columns, half=half)
        return coded.stat().st_size, found[:height, :width]


def find_external() -> tuple[list[ExternalCodec], dict[str, str]]:
    """Return the codecs whose programs are on the PATH, and why each other one is left out."""
    found: list[ExternalCodec] = []
    absent: dict[str, str] = {}
    for name, encoder, decoder, options in (
        ("bpg", "bpgenc", "bpgdec", "4:4:4, -m 8"),
        ("vvenc", "vvencapp", "vvdecapp", "4:2:0, preset medium"),
        ("vtm", "EncoderAppStatic", "DecoderAppStatic", "4:4:4, intra"),
    ):
        paths = [shutil.which(program) for program in (encoder, decoder)]
        missing = [p for p, path in zip((encoder, decoder), paths, strict=True) if path is None]
        if missing:
            absent[name] = f"not measured: {' and '.join(missing)} not on the PATH"
            continue
        programs = [Path(str(path)).resolve() for path in paths]
        configuration = None
        if name == "vtm":
            configuration = programs[0].parent.parent / "cfg" / VTM_CONFIGURATION
            if not configuration.is_file():
                absent[name] = f"not measured: {configuration} does not exist"
                continue
        found.append(
            ExternalCodec(name, programs[0], programs[1], options, configuration=configuration)
        )
    return found, absent


def to_planes(picture: Picture, *, half: bool) -> list[npt.NDArray[np.uint8]]:
    """Return Y, Cb and Cr, BT.709 in full range; half: 4:2:0, with sides repeated to even ones."""
    if half:
        odd = [(0, side % 2) for side in picture.shape[:2]]
        picture = np.pad(picture, (*odd, (0, 0)), mode="edge")
    red, green, blue = (picture[..., c].astype(np.float64) for c in range(3))
    luma = RED * red + (1.0 - RED - BLUE) * green + BLUE * blue
    chroma = [
        128.0 + (blue - luma) / (2.0 * (1.0 - BLUE)),
        128.0 + (red - luma) / (2.0 * (1.0 - RED)),
    ]
    if half:
        chroma = [_average_by_four(plane) for plane in chroma]
    return [np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (luma, *chroma)]


def from_planes(data: bytes, rows: int, columns: int, *, half: bool) -> Picture:
    """Return the picture [rows, columns, 3] of its planes; raises ValueError for another size."""
    small = (rows // 2, columns // 2) if half else (rows, columns)
    sizes = [rows * columns, small[0] * small[1], small[0] * small[1]]
    if len(data) != sum(sizes):
        raise ValueError(f"the decoder wrote {len(data):,} bytes, expected {sum(sizes):,}")
    parts = np.split(np.frombuffer(data, np.uint8).astype(np.float64), np.cumsum(sizes)[:-1])
    luma = parts[0].reshape(rows, columns)
    cb, cr = (part.reshape(small) - 128.0 for part in parts[1:])
    if half:
        cb, cr = (plane.repeat(2, axis=0).repeat(2, axis=1) for plane in (cb, cr))
    red = luma + 2.0 * (1.0 - RED) * cr
    blue = luma + 2.0 * (1.0 - BLUE) * cb
    green = (luma - RED * red - BLUE * blue) / (1.0 - RED - BLUE)
    return np.clip(np.rint(np.stack([red, green, blue], axis=-1)), 0, 255).astype(np.uint8)


def _average_by_four(plane: Floats) -> Floats:
    """Return the means of 2 x 2 values: [H, W] to [H/2, W/2]."""
    rows, columns = plane.shape
    found: Floats = plane.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
    return found


def _run(words: Sequence[str | Path], made: Path) -> None:
    """Run a program that writes the file `made`; raises OSError where it does not."""
    try:
        done = subprocess.run(
            [str(word) for word in words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"{words[0]} took longer than {SECONDS:g} s") from None
    if done.returncode != 0 or not made.is_file():
        said = done.stdout.decode(errors="replace").strip().splitlines()
        last = said[-1] if said else "it said nothing"
        raise OSError(f"{words[0]} ended with code {done.returncode}: {last}")
