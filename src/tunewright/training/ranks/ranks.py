"""The processes that train one model together, and what they exchange.

Rank 0 leads: it alone writes, and it decides. All others follow. Every exchange is a collective:
each rank calls it at the same point of the training. A training on one process has `ALONE`, whose
exchanges do nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=7)
"""Of a rank for another: a lost rank ends the others through its closed connections, and rank 0
may decode pictures for hours while the others wait."""


class Ranks:
    """One process among `count` ranks; made by `join`, or `ALONE`."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    def __deepcopy__(self, _memo: object) -> Self:
        """Return itself: copies of a model, such as its average, exchange with the same ranks."""
        return self

    @property
    def leads(self) -> bool:
        """Whether this rank writes and decides."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other rank."""
        return self.count == 1

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one device and dtype by their sums over the ranks, the same on all."""
        if self.alone or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace `.grad` of each parameter by its sum over the ranks; None where all have none."""
        if self.alone:
            return
        # On the CPU, since a flag is read at once.
        there = torch.tensor([parameter.grad is not None for parameter in parameters]).int()
        dist.all_reduce(there)
        trained = [p for p, n in zip(parameters, there.tolist(), strict=True) if n]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        by_dtype: dict[torch.dtype, list[Tensor]] = {}
        for parameter in trained:
            assert parameter.grad is not None
            by_dtype.setdefault(parameter.grad.dtype, []).append(parameter.grad)
        for gradients in by_dtype.values():
            self.sum_(gradients)

    def copy_from_leader_(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors with those of rank 0."""
        if not self.alone:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def from_leader(self, value: T) -> T:
        """Return what rank 0 has; what the others pass counts for nothing."""
        if self.alone:
            return value
        there = torch.tensor(value is not None).int()  # cheap where there mostly is nothing
        dist.broadcast(there, src=0)
        if not int(there):
            return None  # type: ignore[return-value]
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]  # type: ignore[no-any-return]

    def gather_numbers(self, numbers: Sequence[float]) -> list[list[float]]:
        """Return the numbers of each rank, as many on each; on the CPU, so no GPU is waited for."""
        own = torch.tensor(numbers, dtype=torch.float64)
        if self.alone:
            return [own.tolist()]
        found = [torch.empty_like(own) for _ in range(self.count)]
        dist.all_gather(found, own)
        return [one.tolist() for one in found]

    def gather(self, rows: Tensor, counts: Sequence[int]) -> Tensor:
        """Return the rows of all ranks, in their order; gradients flow back to each one's own.

        counts: the rows of each rank.
        """
        found: Tensor = _Gather.apply(rows, self, tuple(counts)) if not self.alone else rows
        return found

    def gather_to_leader(self, value: T) -> list[T]:
        """Return the values of all ranks on rank 0, by rank; on the others an empty list."""
        if self.alone:
            return [value]
        found: list[Any] | None = [None] * self.count if self.leads else None
        dist.gather_object(value, found, dst=0)
        return found or []

    def send_to_leader(self, tensors: Sequence[Tensor]) -> None:
        """Send tensors to rank 0, which calls `receive` with their shapes."""
        for tensor in tensors:
            dist.send(_as_bytes(tensor.cpu()), dst=0)

    def receive(
        self, rank: int, likes: Sequence[tuple[Sequence[int], torch.dtype]]
    ) -> list[Tensor]:
        """Return the tensors that `rank` sends, on the CPU; likes: their shapes and dtypes."""
        found = []
        for shape, dtype in likes:
            tensor = torch.empty(tuple(shape), dtype=dtype)
            dist.recv(_as_bytes(tensor), src=rank)
            found.append(tensor)
        return found


ALONE = Ranks()


@contextmanager
def join(rank: int, count: int, meeting: Path) -> Iterator[Ranks]:
    """Meet the other ranks through a new file, and be one of them within the block.

    meeting: a path of this machine where nothing is yet. CPU tensors go through gloo, those of a
    GPU through nccl.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(
        backend,
        init_method=f"file://{meeting}",
        rank=rank,
        world_size=count,
        timeout=LONGEST_WAIT,
    )
    try:
        yield Ranks(rank, count)
        dist.barrier()  # whoever leaves earlier closes connections that others still read
    finally:
        dist.destroy_process_group()


def is_lost_connection(error: BaseException) -> bool:
    """Return whether an exchange failed, as it does when another rank has ended."""
    if isinstance(error, dist.DistError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        w in text for w in ("gloo", "nccl", "connection")
    )


class _Gather(Function):
    """The rows of all ranks; the gradient of a row is the sum of what all ranks have for it."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, ranks: Ranks, counts: tuple[int, ...]) -> Tensor:
        ctx.ranks, ctx.counts = ranks, counts
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(found, padded)
        return torch.cat([one[:count] for one, count in zip(found, counts, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        total = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        start = sum(ctx.counts[: ctx.ranks.rank])
        return total[start : start + ctx.counts[ctx.ranks.rank]], None, None


def _as_bytes(tensor: Tensor) -> Tensor:
    """View a contiguous tensor as bytes: gloo does not know every dtype."""
    return tensor.contiguous().view(-1).view(torch.uint8)
