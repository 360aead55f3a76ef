"""Encode a picture's latents into streams of bytes, and decode them.

Both directions do the same arithmetic in the same order, under `deterministic_torch`: the integers
that the file holds plus the means that the model predicts.
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
"""Values minus their means, and their scales: [n] each."""


@dataclass
class CodingStats:
    """Statistics of coding.

    checksum: CRC-32 of all values, in coding order. kept: by stream, the values that were written,
    to estimate their bits.
    """

    coder_seconds: float = 0.0
    checksum: int = 0
    symbols: int = 0
    kept: dict[str, list[Flat]] = field(default_factory=dict)

    def count(self, values: Values) -> None:
        """Add values [n] to the checksum and the count."""
        self.checksum = zlib.crc32(values.astype("<i4", copy=False).tobytes(), self.checksum)
        self.symbols += len(values)

    @contextmanager
    def coding(self) -> Iterator[None]:
        """Add the seconds of the block to the coder's."""
        began = time.perf_counter()
        yield
        self.coder_seconds += time.perf_counter() - began


def write_streams(
    opened: TrainedCompressor, y: Tensor, z: Tensor, stats: CodingStats
) -> tuple[bytes, ...]:
    """Encode latents y [1, M, h, w] and hyper-latents z into the streams (z, y).

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
    """Decode the latents [1, M, h, w]; shape: of the hyper-latents.

    Raises DataError for streams that do not decode. The caller compares the checksum of `stats`
    with that of the file.
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
    """Round values for coding and count them; raises RunError for values too large to code."""
    rounded = about.round().cpu()
    largest = float(rounded.abs().max())
    if not largest < LARGEST:  # NaN too
        raise RunError(
            f"the model gives this picture a latent of {largest:g}",
            expected=f"a number below {LARGEST:,}",
            remedy="The training diverged, or the weights do not belong to this model: use another "
            "run.",
        )
    values: Values = rounded.int().numpy()
    stats.count(values.ravel())
    return values


def _levels(opened: TrainedCompressor, scales: Tensor) -> npt.NDArray[np.uint8]:
    """Return the number of the table for each of [1, n] latents: that of its scale's level."""
    levels = torch.bucketize(scales[0], opened.between, out_int32=True)
    found: npt.NDArray[np.uint8] = levels.to(torch.uint8).cpu().numpy()
    return found


def _channels(shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """Return the number of the table for each hyper-latent: its channel."""
    return np.repeat(np.arange(shape[1], dtype=np.uint16), shape[2] * shape[3])
