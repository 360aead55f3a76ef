"""A picture's values to streams of bytes and back: one walk through the latents, coded or decoded.

Both directions do the same arithmetic in the same order, under `pinned`: whole numbers, as the file
holds them, plus what the model predicts.
"""

import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tunewright.errors import RunError
from tunewright.recipes.compression.codec.coder import LARGEST, RangeDecoder, RangeEncoder, Values
from tunewright.recipes.compression.codec.trained_compressor import TrainedCompressor
from tunewright.recipes.compression.models.compressor import CodingStep
from tunewright.recipes.compression.models.gather import gather

STREAMS = ("z", "y")
"""The hyper-latents, then the latents."""

Flat = tuple[Tensor, Tensor]
"""Values about their means, and their scales: [n] each."""


@dataclass
class CodingStats:
    """What is noted of values on their way.

    checksum: CRC-32 of all of them, in the order in which they are coded. kept: by stream, where
    they are written, for the estimate of their bits.
    """

    coder_seconds: float = 0.0
    checksum: int = 0
    symbols: int = 0
    kept: dict[str, list[Flat]] = field(default_factory=dict)

    def count(self, values: Values) -> None:
        """Note values [n]."""
        self.checksum = zlib.crc32(values.astype("<i4", copy=False).tobytes(), self.checksum)
        self.symbols += len(values)

    @contextmanager
    def coding(self) -> Iterator[None]:
        """Note the seconds of a block as the coder's."""
        began = time.perf_counter()
        yield
        self.coder_seconds += time.perf_counter() - began


def write_streams(
    opened: TrainedCompressor, y: Tensor, z: Tensor, stats: CodingStats
) -> tuple[bytes, ...]:
    """The streams of latents y [1, M, h, w] and hyper-latents z.

    Raises RunError for latents that no file can hold.
    """
    model = opened.model
    hyper, latents = RangeEncoder(opened.hyper), RangeEncoder(opened.latents)
    values = _round(z - model.means_hyper, stats)
    with stats.coding():
        hyper.encode(values.ravel(), _channels(z.shape))
    about = torch.from_numpy(values).to(z)
    stats.kept["z"] = [(about.flatten(), model.scales_hyper.expand_as(z).flatten())]
    grids = [plane.flatten(1) for plane in model.on_grids(y)]
    kept = stats.kept["y"] = []

    def code_step(step: CodingStep, scales: Tensor, means: Tensor) -> Tensor:
        values = _round(gather(grids[step.grid], step.index) - means, stats)
        levels = _levels(opened, scales)
        with stats.coding():
            latents.encode(values[0], levels)
        about = torch.from_numpy(values).to(means)
        kept.append((about[0], scales[0]))
        return about + means

    model.code_latents(model.predict(about + model.means_hyper), code_step)
    with stats.coding():
        return hyper.finish(), latents.finish()


def read_streams(
    opened: TrainedCompressor, streams: Sequence[bytes], shape: tuple[int, ...], stats: CodingStats
) -> Tensor:
    """The latents [1, M, h, w] that were written; shape: of the hyper-latents.

    Raises DataError for streams that do not decode. Whether they are what was written is for the
    checksum of `stats` to say.
    """
    model = opened.model
    hyper, latents = (
        RangeDecoder(opened.hyper, streams[0]),
        RangeDecoder(opened.latents, streams[1]),
    )
    with stats.coding():
        values = hyper.decode(_channels(shape))
    stats.count(values)
    about = torch.from_numpy(values).reshape(shape).to(model.means_hyper)

    def code_step(_step: CodingStep, scales: Tensor, means: Tensor) -> Tensor:
        levels = _levels(opened, scales)
        with stats.coding():
            values = latents.decode(levels)
        stats.count(values)
        return torch.from_numpy(values)[None].to(means) + means

    return model.code_latents(model.predict(about + model.means_hyper), code_step)


def _round(about: Tensor, stats: CodingStats) -> Values:
    """What is coded, noted; RunError for what no file can hold."""
    rounded = about.round().cpu()
    largest = float(rounded.abs().max())
    if not largest < LARGEST:  # NaN too
        raise RunError(
            f"the model makes the latent {largest:g} of this picture",
            expected=f"a number below {LARGEST:,}",
            remedy="Its training has diverged, or its weights are not those of this model.",
        )
    values: Values = rounded.int().numpy()
    stats.count(values.ravel())
    return values


def _levels(opened: TrainedCompressor, scales: Tensor) -> npt.NDArray[np.uint8]:
    """Which table each of [1, n] latents is coded by."""
    levels = torch.bucketize(scales[0], opened.between, out_int32=True)
    found: npt.NDArray[np.uint8] = levels.to(torch.uint8).cpu().numpy()
    return found


def _channels(shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """Which table each hyper-latent is coded by: its channel's."""
    return np.repeat(np.arange(shape[1], dtype=np.uint16), shape[2] * shape[3])
