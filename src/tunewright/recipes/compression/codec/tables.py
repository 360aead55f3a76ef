"""Integer frequency tables for coding latents, one for each scale.

Writer and reader need exactly the same frequencies. So the probabilities are computed once, in
float64, and stored as integers that are part of a model's fingerprint: machines with different
tables refuse each other's files.
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
"""Minimum share of the escape symbol, for all values without their own count: 2e-5 bits a value."""
LARGEST_REACH = 4095

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tables:
    """For each scale the counts [2 K + 2] of the values -K to K and, last, of the escape symbol."""

    counts: tuple[Counts, ...]

    @cached_property
    def reaches(self) -> npt.NDArray[np.int32]:
        """K of each table."""
        return np.array([len(one) // 2 - 1 for one in self.counts], np.int32)

    def content(self) -> bytes:
        """Return the tables as bytes, for the fingerprint."""
        numbers = np.concatenate([self.reaches, *self.counts])
        return numbers.astype("<i4").tobytes()


def make_tables(scales: Tensor, family: Family) -> Tables:
    """Make a table for each of `scales` [n], clamped to the family's smallest scale."""
    raised = scales.detach().to("cpu", torch.float64).clamp(min=family.scale_bound).nan_to_num(1e9)
    reaches = (raised * _reach_at_one(family) - 0.5).ceil().clamp(1, LARGEST_REACH).long()
    # The upper tails from k + 1/2, for k from 0 to the reach: those of all tables at once.
    steps = torch.cat([torch.arange(reach + 1) for reach in reaches.tolist()])
    owners = torch.repeat_interleave(torch.arange(len(raised)), reaches + 1)
    tails = family.survival((steps + 0.5) / raised[owners]).numpy()
    ends = np.cumsum(reaches.numpy() + 1)
    return Tables(tuple(_counts(one) for one in np.split(tails, ends[:-1])))


def boundaries(family: Family) -> Tensor:
    """Return the geometric means of neighbouring scales of the table: [levels - 1] float32.

    `torch.bucketize(scales, boundaries)` is the level nearest in the logarithm.
    """
    table = family.scale_table()
    return (table[1:] * table[:-1]).sqrt().float()


def _counts(tails: npt.NDArray[np.float64]) -> Counts:
    """Return the counts [2 K + 2] from the upper tails P(V > k + 1/2), k from 0 to K."""
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
    """Return the x with P(|V| > x) = ESCAPE_SHARE at scale 1, found by bisection."""
    low, high = 0.0, 64.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        tail = float(family.survival(torch.tensor(middle, dtype=torch.float64)))
        low, high = (middle, high) if 2.0 * tail > ESCAPE_SHARE else (low, middle)
    return high
