"""Integer tables by which latents are coded: how often each value is counted on, scale by scale.

Writer and reader must count on exactly the same. So the probabilities are computed once, in
float64, and from then on are whole numbers, which the fingerprint of a model covers: two machines
either have equal tables or say that they do not.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tunewright.recipes.compression.models.likelihoods import Family

TOTAL = 2**24
"""What the counts of a table sum to: the precision of the coder."""
ESCAPE_SHARE = 2.0**-16
"""What all values without an own count have together, at least: 2e-5 bits a value."""
LARGEST_REACH = 4095

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tables:
    """For each scale the counts [2 K + 2] of the values -K to K and, last, of all others."""

    counts: tuple[Counts, ...]

    @cached_property
    def reaches(self) -> npt.NDArray[np.int32]:
        """K of each table."""
        return np.array([len(one) // 2 - 1 for one in self.counts], np.int32)

    def content(self) -> bytes:
        """What two machines must agree on."""
        numbers = np.concatenate([self.reaches, *self.counts])
        return numbers.astype("<i4").tobytes()


def make_tables(scales: Tensor, family: Family) -> Tables:
    """A table for each of `scales` [n], which are raised to the smallest one of the family."""
    raised = scales.detach().to("cpu", torch.float64).clamp(min=family.scale_bound).nan_to_num(1e9)
    reaches = (raised * _reach_at_one(family) - 0.5).ceil().clamp(1, LARGEST_REACH).long()
    # The upper tails from k + 1/2, for k from 0 to the reach: those of all tables at once.
    steps = torch.cat([torch.arange(reach + 1) for reach in reaches.tolist()])
    owners = torch.repeat_interleave(torch.arange(len(raised)), reaches + 1)
    tails = family.survival((steps + 0.5) / raised[owners]).numpy()
    ends = np.cumsum(reaches.numpy() + 1)
    return Tables(tuple(_counts(one) for one in np.split(tails, ends[:-1])))


def boundaries(family: Family) -> Tensor:
    """[levels - 1] float32, between the scales of the family's table: their geometric means.

    `torch.bucketize(scales, boundaries)` is the nearest level, in the logarithm.
    """
    table = family.scale_table()
    return (table[1:] * table[:-1]).sqrt().float()


def _counts(tails: npt.NDArray[np.float64]) -> Counts:
    """From the upper tails from 1/2, 3/2, ..., K + 1/2."""
    beside = tails[:-1] - tails[1:]
    shares = np.concatenate(
        [
            beside[::-1],
            [1.0 - 2.0 * tails[0]],
            beside,
            [max(2.0 * tails[-1], ESCAPE_SHARE)],
        ]
    )
    # Every value must be possible: one count each, the others by their shares.
    spare = TOTAL - len(shares)
    counts: Counts = 1 + np.floor(shares / shares.sum() * spare).astype(np.int64)
    counts[len(beside)] += TOTAL - counts.sum()
    return counts


def _reach_at_one(family: Family) -> float:
    """Beyond which a share of ESCAPE_SHARE lies, on both sides together, at scale 1."""
    low, high = 0.0, 64.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        tail = float(family.survival(torch.tensor(middle, dtype=torch.float64)))
        low, high = (middle, high) if 2.0 * tail > ESCAPE_SHARE else (low, middle)
    return high
