"""How the rows of a set come: in which batches, in which order, and in how many parts."""

import math
from dataclasses import dataclass, replace
from typing import Self

from tunewright.errors import DataError
from tunewright.training.ranks.batch_parts import part_of, too_few


@dataclass(frozen=True, kw_only=True)
class Batching:
    """The batches of an epoch.

    seed: of the order, together with the epoch. shuffle: False for the order of the set.
    drop_last: leave out a last batch shorter than `batch_size`, unless it is the only one.
    micro_batches: parts in which each batch arrives; their sizes differ by one row at most, and
    the batches of an epoch are the same however many parts they come in. rank, ranks: which part
    of each micro-batch this process has, where several train together.
    """

    batch_size: int
    seed: int
    shuffle: bool = True
    drop_last: bool = True
    micro_batches: int = 1
    rank: int = 0
    ranks: int = 1

    def of_rank(self, rank: int, ranks: int) -> Self:
        """Return the same batches, of which a process has its part."""
        return replace(self, rank=rank, ranks=ranks)

    def parts(self, rows: int) -> list[slice]:
        """Return which rows of a batch this process has in each micro-batch.

        7 rows in 2 micro-batches are 0 to 3 and 4 to 6; rank 1 of 2 has 2 to 3, and 6.
        """
        found = []
        for number in range(self.micro_batches):
            whole = part_of(rows, number, self.micro_batches)
            own = part_of(whole.stop - whole.start, self.rank, self.ranks)
            found.append(slice(whole.start + own.start, whole.start + own.stop))
        return found

    def limit_to(self, rows: int, *, of: str = "row", remedy: str = "") -> Self:
        """Return batches of at most as many rows as a set has.

        of: what a row of the set is; remedy: what to do about too many micro-batches. Raises
        DataError if a batch, or a part of one, would have no row.
        """
        if self.batch_size < 1:
            raise DataError(f"batch_size = {self.batch_size}", expected="at least 1")
        size = min(self.batch_size, rows)
        if self.micro_batches * self.ranks > size >= self.micro_batches >= 1:
            raise too_few(size // self.micro_batches, self.ranks)
        if not 1 <= self.micro_batches <= size:
            raise DataError(
                f"batches of {size:,} {of}s in {self.micro_batches:,} micro-batches",
                expected=f"at least one {of} in each",
                remedy=remedy or "Lower training.accumulate.",
            )
        return replace(self, batch_size=size)

    def count(self, rows: int) -> int:
        """Return the number of batches in an epoch over so many rows."""
        batches = rows / self.batch_size
        return math.floor(batches) if self.drop_last else math.ceil(batches)
