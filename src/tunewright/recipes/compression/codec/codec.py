"""A picture to the bytes of a file and back, by a trained compressor.

Writing and reading walk through the latents in the same way, one picture at a time, with the
threads that the file names, so that both predict the same tables. Writing reads what it has written
unless it is told not to.
"""

import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tunewright.errors import DataError, RunError
from tunewright.recipes.compression.codec.coder import LARGEST, Reader, Values, Writer
from tunewright.recipes.compression.codec.container import Container, pack, unpack
from tunewright.recipes.compression.codec.memory import CHEAP_PIXELS, check_room
from tunewright.recipes.compression.codec.pinned import pinned
from tunewright.recipes.compression.compressor import Step
from tunewright.recipes.compression.likelihoods import likelihood
from tunewright.recipes.compression.opened import Opened

Pixels = npt.NDArray[np.uint8]
Flat = tuple[Tensor, Tensor]
"""Values and their scales, [n] each."""

STREAMS = ("z", "y")
ALLOWED = 1.02, 50.0
"""Real bits of a stream above the estimated ones: a factor, and bits on top."""


@dataclass(frozen=True)
class Compressed:
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
class Decompressed:
    """A picture out of a file: uint8 [H, W, 3], three equal channels where it is grey.

    seconds: from the bytes to the pixels, in the network and in the coder.
    """

    picture: Pixels
    grey: bool
    seconds: float
    network_seconds: float
    coder_seconds: float


@dataclass
class _Tally:
    """What happens to the values of a picture on their way, beside being coded."""

    coder_seconds: float = 0.0
    checksum: int = 0
    symbols: int = 0
    kept: dict[str, list[Flat]] = field(default_factory=dict)

    def count(self, values: Values) -> None:
        self.checksum = zlib.crc32(values.astype("<i4", copy=False).tobytes(), self.checksum)
        self.symbols += len(values)


def compress_picture(
    opened: Opened,
    picture: Pixels,
    *,
    grey: bool = False,
    verify: bool = True,
    name: object = "the picture",
) -> Compressed:
    """Code a picture, uint8 [H, W, 3], of any size.

    grey: whether its channels are equal and one of them is all that is to come back. verify: decode
    the stream again and compare every value. name: for messages. Raises DataError for a picture
    that the memory does not hold, RunError when the model says what no file can hold, or does not
    predict the same twice.
    """
    height, width, _ = picture.shape
    _check_room(opened, width, height, name)
    threads = torch.get_num_threads()
    began = time.perf_counter()
    tally = _Tally()
    with pinned(threads, opened.device):
        streams = _write(opened, picture, tally)
        data = pack(
            Container(
                opened.fingerprint,
                width,
                height,
                grey,
                threads,
                "cuda" if opened.device.type == "cuda" else "cpu",
                tally.checksum,
                streams,
            )
        )
        written = time.perf_counter()
        if verify:
            _read(opened, unpack(data), name, _Tally(), RunError)
        verified = time.perf_counter()
        estimated = {stream: _bits(opened, flats) for stream, flats in tally.kept.items()}
    real = {stream: 8 * len(coded) for stream, coded in zip(STREAMS, streams, strict=True)}
    return Compressed(
        data,
        real,
        estimated,
        tally.symbols,
        written - began,
        tally.coder_seconds,
        verified - written,
        tuple(_above(real, estimated)),
    )


def decompress_picture(opened: Opened, data: bytes, *, name: object = "the file") -> Decompressed:
    """Decode what `compress_picture` wrote with the same model.

    name: of the file, for messages. Raises DataError for bytes that are foreign, cut short,
    altered, of another model, too large for the memory, or that decode to other values here.
    """
    held = unpack(data, name)
    if held.fingerprint != opened.fingerprint:
        raise DataError(
            f"{name} was written by the model {held.fingerprint.hex()}",
            expected=f"{opened.fingerprint.hex()}"
            + (f", that of {opened.folder.path}" if opened.folder else ""),
            remedy="Name the run that wrote it, with the weights it had then.",
        )
    _check_room(opened, held.width, held.height, name)
    began = time.perf_counter()
    tally = _Tally()
    with pinned(held.threads, opened.device):
        y = _read(opened, held, name, tally, DataError)
        pictures = opened.model.synthesise(y)
        picture = _cropped(pictures, held.width, held.height)
    if held.grey:
        one = picture.mean(2, keepdims=True, dtype=np.float64).round().astype(np.uint8)
        picture = np.repeat(one, 3, 2)
    seconds = time.perf_counter() - began
    return Decompressed(
        picture, held.grey, seconds, seconds - tally.coder_seconds, tally.coder_seconds
    )


def padding(width: int, height: int, multiple: int) -> tuple[int, int, int, int]:
    """Pixels left, right, above and below, to the next multiples, as evenly as can be."""
    across, down = -width % multiple, -height % multiple
    return across // 2, across - across // 2, down // 2, down - down // 2


def _write(opened: Opened, picture: Pixels, tally: _Tally) -> tuple[bytes, bytes]:
    """The streams of a picture; to be called under `pinned`."""
    model = opened.model
    height, width, _ = picture.shape
    pixels = torch.from_numpy(np.array(picture)).to(opened.device)
    pictures = pixels.permute(2, 0, 1)[None].float() / 255.0
    y, z = model.analyse(functional.pad(pictures, padding(width, height, model.multiple)))
    hyper, latents = Writer(opened.hyper), Writer(opened.latents)

    values = _whole(z - model.means_hyper, tally)
    with _Clock(tally):
        hyper.put(values.ravel(), _channels(z.shape))
    about = torch.from_numpy(values).to(z)
    scales = model.scales_hyper.expand_as(z)
    tally.kept["z"] = [(about.flatten(), scales.flatten())]
    grids = [plane.flatten(1) for plane in model.on_grids(y)]
    kept = tally.kept["y"] = []

    def take(step: Step, scales: Tensor, means: Tensor) -> Tensor:
        indices = _levels(opened, scales)
        values = _whole(grids[step.grid][:, step.index] - means, tally)
        with _Clock(tally):
            latents.put(values[0], indices)
        about = torch.from_numpy(values).to(means)
        kept.append((about[0], scales[0]))
        return about + means

    model.walk(model.predict(about + model.means_hyper), take)
    with _Clock(tally):
        return hyper.finish(), latents.finish()


def _read(
    opened: Opened,
    held: Container,
    name: object,
    tally: _Tally,
    wrong: type[DataError] | type[RunError],
) -> Tensor:
    """The latents of a file; to be called under `pinned`. Raises `wrong` for other values."""
    model = opened.model
    across, down = (side + -side % model.multiple for side in (held.width, held.height))
    shape = (
        1,
        model.scales_hyper.shape[1],
        down // model.hyper_stride,
        across // model.hyper_stride,
    )
    hyper, latents = (
        Reader(coder, stream)
        for coder, stream in zip((opened.hyper, opened.latents), held.streams, strict=True)
    )

    def take(step: Step, scales: Tensor, means: Tensor) -> Tensor:
        indices = _levels(opened, scales)
        with _Clock(tally):
            values = latents.take(indices)
        tally.count(values)
        return torch.from_numpy(values)[None].to(means) + means

    try:
        with _Clock(tally):
            values = hyper.take(_channels(shape))
        tally.count(values)
        about = torch.from_numpy(values).reshape(shape).to(model.means_hyper)
        y = model.walk(model.predict(about + model.means_hyper), take)
        if tally.checksum != held.symbols:
            raise DataError("its values have another checksum")
    except DataError as error:
        here = f"{opened.device.type}, torch {torch.__version__}"
        raise wrong(
            f"{name} was written on {held.device} and does not decode to the same values here "
            f"({here}): {error.came}",
            expected="the device, the version of torch and the kind of machine it was written on",
            remedy="Decompress it there, or compress the picture again here.",
        ) from None
    return y


class _Clock:
    """Counts the seconds of a block as the coder's."""

    def __init__(self, tally: _Tally) -> None:
        self._tally = tally

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._tally.coder_seconds += time.perf_counter() - self._began


def _whole(about: Tensor, tally: _Tally) -> Values:
    """What is coded: rounded, counted; RunError for what no file can hold."""
    rounded = about.round().cpu()
    largest = float(rounded.abs().max())
    if not largest < LARGEST:  # NaN too
        raise RunError(
            f"the model makes the latent {largest:g} of this picture",
            expected=f"a number below {LARGEST:,}",
            remedy="Its training has diverged, or its weights are not those of this model.",
        )
    values: Values = rounded.int().numpy()
    tally.count(values.ravel())
    return values


def _levels(opened: Opened, scales: Tensor) -> npt.NDArray[np.uint8]:
    """Which table each of [1, n] latents is coded by."""
    levels = torch.bucketize(scales[0], opened.between, out_int32=True)
    found: npt.NDArray[np.uint8] = levels.to(torch.uint8).cpu().numpy()
    return found


def _channels(shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """Which table each hyper-latent is coded by: its channel's."""
    return np.repeat(np.arange(shape[1], dtype=np.uint16), shape[2] * shape[3])


def _bits(opened: Opened, flats: list[Flat]) -> float:
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


def _cropped(pictures: Tensor, width: int, height: int) -> Pixels:
    """The picture without its padding, uint8 [H, W, 3]."""
    left, above = (pictures.shape[3] - width) // 2, (pictures.shape[2] - height) // 2
    inside = pictures[0, :, above : above + height, left : left + width]
    pixels: Pixels = (
        (inside.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    )
    return np.ascontiguousarray(pixels)


def _check_room(opened: Opened, width: int, height: int, name: object) -> None:
    multiple = opened.model.multiple
    pixels = (width + -width % multiple) * (height + -height % multiple)
    if pixels > CHEAP_PIXELS:
        check_room(pixels, opened.bytes_a_pixel, opened.device, name)
