"""Assign rows to the batches of an epoch: a pure function of the seed and the epoch."""

from copy import copy

import numpy as np
import torch
from torch import Tensor

from tunewright.errors import DataError
from tunewright.images.loading.batching import Batching


class Order:
    """Batches of row numbers.

    rows: int64 [N], those that take part. batching: sizes and order; see `Batching.limit_to`.
    weights: [N], non-negative; an epoch then draws N rows in proportion, with replacement.
    Raises DataError for unusable weights, no rows, and what `Batching.limit_to` raises.
    """

    def __init__(self, rows: Tensor, batching: Batching, weights: Tensor | None = None) -> None:
        if not len(rows):
            raise DataError("a set without pictures", expected="at least one")
        self.rows, self.batching = rows, batching.limit_to(len(rows))
        self._ends = None if weights is None else _ends(weights, len(rows))

    def of_rank(self, rank: int, ranks: int) -> "Order":
        """Return the same batches, of which a process has its part of each micro-batch."""
        found = copy(self)
        found.batching = self.batching.of_rank(rank, ranks).limit_to(len(self.rows))
        return found

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return self.batching.count(len(self.rows))

    def epoch(self, epoch: int) -> tuple[Tensor, ...]:
        """Return the rows of each batch, int64, on the CPU."""
        count = len(self.rows)
        generator = generator_of(self.batching.seed, epoch, "order")
        if self._ends is not None:
            # torch.multinomial takes at most 2^24 rows. Weights 1, 3 have ends 1, 4: a draw of
            # 0.9 is row 0, one of 1.0 to 3.9 is row 1.
            draws = torch.rand(count, dtype=torch.float64, generator=generator) * self._ends[-1]
            chosen = torch.searchsorted(self._ends, draws, right=True).clamp_(max=count - 1)
            rows = self.rows[chosen]
        elif self.batching.shuffle:
            rows = self.rows[torch.randperm(count, generator=generator)]
        else:
            rows = self.rows
        return torch.split(rows, self.batching.batch_size)[: len(self)]


STREAMS = ("order", "augment", "mix")
"""The independent random streams of an epoch."""


def generator_of(seed: int, epoch: int, stream: str) -> torch.Generator:
    """Make a generator on the CPU for one purpose in one epoch."""
    # A seed sequence, so that (seed 1, epoch 2) and (seed 2, epoch 1) differ.
    sequence = np.random.SeedSequence([seed, epoch, STREAMS.index(stream)])
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))


def _ends(weights: Tensor, count: int) -> Tensor:
    """Return the running sums of the weights: float64 [N]."""
    weights = weights.to("cpu", torch.float64)
    if weights.shape != (count,):
        raise DataError(f"weights of shape {list(weights.shape)}", expected=f"[{count}]")
    if not (weights.isfinite().all() and (weights >= 0).all() and weights.sum() > 0):
        raise DataError(
            "unusable sampling weights", expected="finite numbers >= 0, at least one above 0"
        )
    return weights.cumsum(0)
