"""A picture to the bytes of a file and back, by a trained compressor.

One picture at a time, with the threads that the file names, so that writer and reader predict the
same tables. Writing reads what it has written, unless it is told not to.
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
"""Real bits of a stream above the estimated ones: a factor, and bits on top."""


@dataclass(frozen=True)
class CompressedPicture:
    """A picture as the bytes of a file.

    real_bits, estimated_bits: of each stream, z the hyper-latents and y the latents, in the file
    and by the model's likelihoods. symbols: how many values were coded. seconds: from the pixels
    to the bytes, of them coder_seconds outside the network; verify_seconds: reading it again.
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
    """A picture out of a file: uint8 [H, W, 3], three equal channels where it is grey.

    seconds: from the bytes to the pixels, in the network and in the coder.
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
    """Code a picture, uint8 [H, W, 3], of any size.

    grey: whether its channels are equal and one of them is all that is to come back. verify: decode
    the streams again and compare every value. name: for messages. Raises DataError for a picture
    that the memory does not hold, RunError when the model says what no file can hold, or does not
    predict the same twice.
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
        tuple(_above(real, estimated)),
    )


def decompress_picture(
    opened: TrainedCompressor, data: bytes, *, name: object = "the file"
) -> DecompressedPicture:
    """Decode what `compress_picture` wrote with the same model.

    name: of the file, for messages. Raises DataError for bytes that are foreign, cut short,
    altered, of another model, too large for the memory, or that decode to other values here.
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
    """Pixels left, right, above and below, to the next multiples, as evenly as can be."""
    across, down = -width % multiple, -height % multiple
    return across // 2, across - across // 2, down // 2, down - down // 2


def _pad(opened: TrainedCompressor, picture: Pixels) -> Tensor:
    """[1, 3, H, W] in 0 to 1, with zeros around it."""
    height, width, _ = picture.shape
    pixels = torch.from_numpy(np.array(picture)).to(opened.device)
    pictures = pixels.permute(2, 0, 1)[None].float() / 255.0
    return functional.pad(pictures, padding(width, height, opened.model.multiple))


def _crop(pictures: Tensor, width: int, height: int) -> Pixels:
    """The picture without its padding, uint8 [H, W, 3]."""
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
    """The latents of a file; raises `wrong` when they are not those that were written."""
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
    """What the model estimates for values under their own scales, not those of a table."""
    family = opened.model.family
    return float(
        sum(-likelihood(about, scales, family).log2().double().sum() for about, scales in flats)
    )


def _above(real: Mapping[str, int], estimated: Mapping[str, float]) -> Iterator[str]:
    """What is to be said of streams that take more than they were estimated to."""
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
    """Within the block: `threads` on the CPU, float32 in full, one choice of kernels, no gradients.

    Everything is as it was after it.
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
