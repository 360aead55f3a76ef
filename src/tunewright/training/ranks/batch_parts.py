"""The part of each micro-batch that a rank trains on or evaluates.

All ranks together have the rows that one process would have, micro-batch by micro-batch and in its
order. So orders, augmentation and mixed pictures, which loaders draw for whole batches, are the
same on any number of ranks.
"""

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from tunewright.errors import ConfigError
from tunewright.training.ranks.ranks import Ranks
from tunewright.training.task import Batch, Loader


class BatchParts:
    """A loader of which this rank gets its part of every micro-batch (a `task.Loader`).

    A loader may have a method `of_rank(rank, count)` that returns a loader of the parts, which then
    need not make the rows of the others. may_be_empty: yield None where there are fewer rows than
    ranks, as in the last batch of an evaluation; else that raises ConfigError.
    """

    def __init__(self, loader: Loader, ranks: Ranks, *, may_be_empty: bool = False) -> None:
        self.ranks, self.may_be_empty = ranks, may_be_empty
        of_rank = getattr(loader, "of_rank", None)
        self.own: Loader | None = None
        if of_rank is not None and not may_be_empty:
            self.own = of_rank(ranks.rank, ranks.count)
        self.loader = loader

    def __len__(self) -> int:
        """Return the number of micro-batches in an epoch, the same on all ranks."""
        return len(self.loader)

    def epoch(self, epoch: int) -> Iterator[Any]:
        """Yield this rank's part of each micro-batch of an epoch."""
        if self.own is not None:
            yield from self.own.epoch(epoch)
            return
        for batch in self.loader.epoch(epoch):
            yield self._part(batch)

    def _part(self, batch: Batch) -> Batch:
        rows = rows_of(batch)
        if rows < self.ranks.count and not self.may_be_empty:
            raise too_few(rows, self.ranks.count)
        part = part_of(rows, self.ranks.rank, self.ranks.count)
        if part.start == part.stop:
            return None
        return tree_map(
            lambda leaf: leaf[part] if isinstance(leaf, Tensor) and leaf.ndim else leaf, batch
        )


def rows_of(batch: Batch) -> int:
    """Return the rows of a batch: the length of the first tensor in it."""
    return next(len(leaf) for leaf in tree_leaves(batch) if isinstance(leaf, Tensor) and leaf.ndim)


def part_of(rows: int, rank: int, count: int) -> slice:
    """Return the rows of a rank; as `Tensor.tensor_split`, the first ranks have one more each.

    5 rows on 2 ranks: 0 to 2, and 3 to 4.
    """
    least, more = divmod(rows, count)
    start = rank * least + min(rank, more)
    return slice(start, start + least + (rank < more))


def too_few(rows: int, ranks: int) -> ConfigError:
    """Return the error of micro-batches that cannot be divided among the ranks."""
    return ConfigError(
        f"micro-batches of {rows} row(s) for executor.processes = {ranks}",
        expected="at least one row for each process",
        remedy="Raise training.batch_size, or lower training.accumulate or executor.processes.",
    )
