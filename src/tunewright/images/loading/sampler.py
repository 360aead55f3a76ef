"""Which rows are in which batch of an epoch: a pure function of the seed and the epoch."""

import math

import numpy as np
import torch
from torch import Tensor

from tunewright.errors import DataError


class Order:
    """Batches of row numbers.

    rows: int64 [N], those that take part. weights: [N], never negative; N rows an epoch are then
    drawn in proportion, with replacement. A last batch that is shorter than `batch_size` is left
    out with `drop_last`, unless it is the only one. Raises DataError for weights that cannot be
    drawn by, no rows, or a batch_size below 1.
    """

    def __init__(
        self,
        rows: Tensor,
        *,
        batch_size: int,
        seed: int,
        weights: Tensor | None = None,
        shuffle: bool = True,
        drop_last: bool = True,
    ) -> None:
        if not len(rows):
            raise DataError("a set without a picture", expected="one at least")
        if batch_size < 1:
            raise DataError(f"batch_size = {batch_size}", expected="at least 1")
        self.rows, self.seed = rows, seed
        self.batch_size = min(batch_size, len(rows))
        self.shuffle, self.drop_last = shuffle, drop_last
        self._ends = None if weights is None else _ends(weights, len(rows))

    def __len__(self) -> int:
        """Batches in an epoch."""
        count = len(self.rows) / self.batch_size
        return math.floor(count) if self.drop_last else math.ceil(count)

    def epoch(self, epoch: int) -> tuple[Tensor, ...]:
        """The rows of each batch, int64, on the CPU."""
        count = len(self.rows)
        generator = generator_of(self.seed, epoch, "order")
        if self._ends is not None:
            # torch.multinomial would not take more than 2^24 rows
            draws = torch.rand(count, dtype=torch.float64, generator=generator) * self._ends[-1]
            chosen = torch.searchsorted(self._ends, draws, right=True).clamp_(max=count - 1)
            rows = self.rows[chosen]
        elif self.shuffle:
            rows = self.rows[torch.randperm(count, generator=generator)]
        else:
            rows = self.rows
        return torch.split(rows, self.batch_size)[: len(self)]


STREAMS = ("order", "augment", "mix")
"""What draws random numbers of its own in an epoch, so that none moves with another."""


def generator_of(seed: int, epoch: int, stream: str) -> torch.Generator:
    """A generator on the CPU for one purpose in one epoch."""
    # a sequence, so that (seed 1, epoch 2) and (seed 2, epoch 1) differ
    sequence = np.random.SeedSequence([seed, epoch, STREAMS.index(stream)])
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))


def _ends(weights: Tensor, count: int) -> Tensor:
    """Running sums of the weights: float64 [N]."""
    weights = weights.to("cpu", torch.float64)
    if weights.shape != (count,):
        raise DataError(f"weights of shape {list(weights.shape)}", expected=f"[{count}]")
    if not (weights.isfinite().all() and (weights >= 0).all() and weights.sum() > 0):
        raise DataError(
            "weights that cannot be drawn by", expected="finite numbers >= 0, one above 0"
        )
    return weights.cumsum(0)
