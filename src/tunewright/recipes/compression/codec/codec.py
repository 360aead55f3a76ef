"""Compress a picture to the bytes of a file and decompress it, by a trained compressor.

Pictures are coded one at a time, with the number of threads that the file records, so that writer
and reader predict the same tables. The writer decodes its own output to verify it, by default.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tunewright.errors import DataError, RunError
from tunewright.recipes.compression.codec.container import MOST_THREADS, Container, pack, unpack
from tunewright.recipes.compression.codec.memory import CHEAP_PIXELS, check_room
from tunewright.recipes.compression.codec.streams import (
    STREAMS,
    CodingStats,
    Flat,
    read_streams,
    write_streams,
)
from tunewright.recipes.compression.codec.trained_compressor import TrainedCompressor
from tunewright.recipes.compression.models.likelihoods import likelihood

Pixels = npt.NDArray[np.uint8]

ALLOWED = 1.02, 50.0
"""Tolerance of real bits over estimated bits of a stream: a factor, plus a number of bits."""


@dataclass(frozen=True)
class CompressedPicture:
    """A picture as the bytes of a file.

    real_bits, estimated_bits: of each stream (z: hyper-latents, y: latents), in the file and by the
    model's likelihoods. symbols: the values coded. seconds: from pixels to bytes, of which
    coder_seconds in the entropy coder. verify_seconds: decoding the streams again.
    """

    data: bytes
    real_bits: Mapping[str, int]
    estimated_bits: Mapping[str, float]
    symbols: int
    seconds: float
    coder_seconds: float
    verify_seconds: float
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class DecompressedPicture:
    """A decoded picture: uint8 [H, W, 3], with three equal channels if it is grey.

    seconds: from bytes to pixels, the sum of network_seconds and coder_seconds.
    """

    picture: Pixels
    grey: bool
    seconds: float
    network_seconds: float
    coder_seconds: float


def compress_picture(
    opened: TrainedCompressor,
    picture: Pixels,
    *,
    grey: bool = False,
    verify: bool = True,
    name: object = "the picture",
) -> CompressedPicture:
    """Compress a picture, uint8 [H, W, 3], of any size.

    grey: its channels are equal, and it is decoded as one channel. verify: decode the streams again
    and compare every value. name: of the picture, for messages. Raises DataError for a picture that
    needs more memory than is free, and RunError when the model's latents cannot be coded or are
    decoded to other values.
    """
    height, width, _ = picture.shape
    _check_room(opened, width, height, name)
    threads = min(torch.get_num_threads(), MOST_THREADS)
    began = time.perf_counter()
    stats = CodingStats()
    with deterministic_torch(threads, opened.device):
        y, z = opened.model.analyse(_pad(opened, picture))
        streams = write_streams(opened, y, z, stats)
        held = Container(
            opened.fingerprint,
            width,
            height,
            grey,
            threads,
            "cuda" if opened.device.type == "cuda" else "cpu",
            stats.checksum,
            streams,
        )
        data = pack(held)
        written = time.perf_counter()
        if verify:
            _latents(opened, unpack(data), name, CodingStats(), RunError)
        verified = time.perf_counter()
        estimated = {stream: _bits(opened, flats) for stream, flats in stats.kept.items()}
    real = {stream: 8 * len(coded) for stream, coded in zip(STREAMS, streams, strict=True)}
    return CompressedPicture(
        data,
        real,
        estimated,
        stats.symbols,
        written - began,
        stats.coder_seconds,
        verified - written,
        tuple(bits_above(real, estimated)),
    )


def decompress_picture(
    opened: TrainedCompressor, data: bytes, *, name: object = "the file"
) -> DecompressedPicture:
    """Decompress what `compress_picture` wrote with the same model.

    name: of the file, for messages. Raises DataError for bytes that are no compressed picture, cut
    short, altered, from another model, too large for the memory, or that decode to other values.
    """
    held = unpack(data, name)
    if held.fingerprint != opened.fingerprint:
        of_run = f", that of {opened.folder.path}" if opened.folder else ""
        raise DataError(
            f"{name} was written by the model {held.fingerprint.hex()}",
            expected=opened.fingerprint.hex() + of_run,
            remedy="Name the run that wrote it, with the weights it had then.",
        )
    _check_room(opened, held.width, held.height, name)
    began = time.perf_counter()
    stats = CodingStats()
    with deterministic_torch(held.threads, opened.device):
        y = _latents(opened, held, name, stats, DataError)
        picture = _crop(opened.model.synthesise(y), held.width, held.height)
    if held.grey:
        one = picture.mean(2, keepdims=True, dtype=np.float64).round().astype(np.uint8)
        picture = np.repeat(one, 3, 2)
    seconds = time.perf_counter() - began
    return DecompressedPicture(
        picture, held.grey, seconds, seconds - stats.coder_seconds, stats.coder_seconds
    )


def padding(width: int, height: int, multiple: int) -> tuple[int, int, int, int]:
    """Return the padding (left, right, top, bottom) to the next multiples: 5 of 8 gives 1 and 2."""
    across, down = -width % multiple, -height % multiple
    return across // 2, across - across // 2, down // 2, down - down // 2


def _pad(opened: TrainedCompressor, picture: Pixels) -> Tensor:
    """Convert a picture to a tensor [1, 3, H, W] in 0 to 1, padded with zeros."""
    height, width, _ = picture.shape
    pixels = torch.from_numpy(np.array(picture)).to(opened.device)
    pictures = pixels.permute(2, 0, 1)[None].float() / 255.0
    return functional.pad(pictures, padding(width, height, opened.model.multiple))


def _crop(pictures: Tensor, width: int, height: int) -> Pixels:
    """Remove the padding and return the picture as uint8 [H, W, 3]."""
    left, above = (pictures.shape[3] - width) // 2, (pictures.shape[2] - height) // 2
    inside = pictures[0, :, above : above + height, left : left + width]
    rounded = (inside.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
    pixels: Pixels = rounded.permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(pixels)


def _latents(
    opened: TrainedCompressor,
    held: Container,
    name: object,
    stats: CodingStats,
    wrong: type[DataError] | type[RunError],
) -> Tensor:
    """Decode the latents of a file; raises `wrong` if they are not those that were written."""
    model = opened.model
    across, down = _padded_sides(opened, held.width, held.height)
    stride = model.hyper_stride
    shape = (1, model.scales_hyper.shape[1], down // stride, across // stride)
    try:
        y = read_streams(opened, held.streams, shape, stats)
        if stats.checksum != held.symbols:
            raise DataError("its values have another checksum")
    except DataError as error:
        raise wrong(
            f"{name} was written on {held.device} and does not decode to the same values here "
            f"({opened.device.type}, torch {torch.__version__}): {error.came}",
            expected="the device, the version of torch and the kind of machine it was written on",
            remedy="Decompress it there, or compress the picture again here.",
        ) from None
    return y


def _bits(opened: TrainedCompressor, flats: list[Flat]) -> float:
    """Return the estimated bits of values, by their exact scales, not those of a table."""
    family = opened.model.family
    return float(
        sum(-likelihood(about, scales, family).log2().double().sum() for about, scales in flats)
    )


def bits_above(real: Mapping[str, int], estimated: Mapping[str, float]) -> Iterator[str]:
    """Yield a notice for each stream that takes clearly more bits than were estimated."""
    factor, bits = ALLOWED
    for stream in STREAMS:
        if real[stream] > factor * estimated[stream] + bits:
            more = real[stream] / max(estimated[stream], 1.0) - 1.0
            yield (
                f"the stream {stream} takes {real[stream]:,} bits, {more:.1%} more than the "
                f"{estimated[stream]:,.0f} that the model estimates"
            )


def _check_room(opened: TrainedCompressor, width: int, height: int, name: object) -> None:
    across, down = _padded_sides(opened, width, height)
    if across * down > CHEAP_PIXELS:
        check_room(across * down, opened.bytes_a_pixel, opened.device, name)


def _padded_sides(opened: TrainedCompressor, width: int, height: int) -> tuple[int, int]:
    multiple = opened.model.multiple
    return width + -width % multiple, height + -height % multiple


@contextmanager
def deterministic_torch(threads: int, device: torch.device) -> Iterator[None]:
    """Make torch deterministic within the block: `threads`, full float32, fixed kernels, no grad.

    All settings are restored afterwards.
    """
    before = torch.get_num_threads()
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    flags = (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32)
    torch.set_num_threads(threads)
    cudnn.deterministic, cudnn.benchmark = True, False
    cudnn.allow_tf32 = matmul.allow_tf32 = False
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_num_threads(before)
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = flags
