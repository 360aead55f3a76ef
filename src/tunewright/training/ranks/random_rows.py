"""Dropout, stochastic depth and noise that do not depend on how many ranks a model trains on.

One process draws numbers for all rows of a micro-batch. Each rank draws the same numbers, for all
rows, and uses those of its own. So its rows get what they would get on one process, and the
generators of all ranks stay equal, which a resume with another number of ranks relies on.

This holds on the CPU, for tensors whose first axis is the rows (or several of each row, side by
side). On a GPU, fused kernels draw; there each rank has random numbers of its own.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tunewright.training.ranks.ranks import Ranks
from tunewright.training.task import Batch

Rows = Sequence[Sequence[int]]
"""The rows of each rank, for each micro-batch of a step."""

aten = torch.ops.aten
IN_PLACE = {aten.bernoulli_.float, aten.uniform_.default, aten.normal_.default}
LIKE = {aten.rand_like.default, aten.randn_like.default}
SIZED = {aten.rand.default, aten.randn.default}


class RandomRows:
    """Lets the steps of one rank draw for the rows of all; does nothing on a GPU or on one rank.

    Each operation passes through Python meanwhile, so that an epoch whose first step draws nothing
    takes its other steps without.
    """

    def __init__(self, model: nn.Module, ranks: Ranks, device: torch.device, seed: int) -> None:
        self.ranks, self.device, self.seed = ranks, device, seed
        self._watch = self._draws = not ranks.alone and device.type == "cpu"
        self._first = True
        self._places: dict[int, tuple[int, int, int]] = {}
        self._at = (0, 1, 1)  # first row, rows, rows of all ranks
        if self._watch:
            model.register_forward_pre_hook(self._find)

    def begin_epoch(self, epoch: int) -> None:
        """Look again whether the steps draw; on a GPU, give each rank its own random numbers."""
        self._draws, self._first = self._watch, True
        if self.device.type == "cuda" and not self.ranks.alone:
            sequence = np.random.SeedSequence([self.seed, epoch, self.ranks.rank])
            torch.cuda.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))

    @contextmanager
    def step(self, batches: Sequence[Batch], rows: Rows) -> Iterator[None]:
        """Draw for all ranks within the block, which takes a step on `batches`."""
        if not self._draws:
            yield
            return
        rank = self.ranks.rank
        self._places = {}
        for batch, counts in zip(batches, rows, strict=True):
            self._at = sum(counts[:rank]), counts[rank], sum(counts)
            for leaf in tree_leaves(batch):
                if isinstance(leaf, Tensor):
                    self._places[id(leaf)] = self._at
        mode = _DrawForAll(self)
        try:
            with mode:
                yield
        finally:
            self._places = {}
        if self._first:
            self._draws, self._first = mode.drawn, False

    def size_for_all(self, shape: Sequence[int]) -> tuple[list[int], slice] | None:
        """Return the shape that one process would draw, and which part is this rank's."""
        first, own, total = self._at
        if not shape or not own or shape[0] % own:
            return None
        times = shape[0] // own
        return [times * total, *shape[1:]], slice(times * first, times * (first + own))

    def _find(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Note which micro-batch the model is called with."""
        known = (self._places.get(id(leaf)) for leaf in tree_leaves(inputs))
        self._at = next((place for place in known if place is not None), self._at)


class _DrawForAll(TorchDispatchMode):
    """Replaces each draw by one for the rows of all ranks, of which it returns a part."""

    def __init__(self, rows: RandomRows) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows, self.drawn = rows, False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        options = kwargs or {}
        if func not in IN_PLACE and func not in LIKE and func not in SIZED:
            return func(*args, **options)
        self.drawn = True
        shape = list(args[0].shape) if isinstance(args[0], Tensor) else list(args[0])
        if (found := self.rows.size_for_all(shape)) is None:
            return func(*args, **options)
        size, own = found
        if func in SIZED:
            return func(size, *args[1:], **options)[own]
        full = _empty_in_layout_of(args[0], size)
        if func in LIKE:
            return func(full, *args[1:], **options)[own]
        func(full, *args[1:], **options)
        return args[0].copy_(full[own])


def _empty_in_layout_of(tensor: Tensor, size: Sequence[int]) -> Tensor:
    """Return an empty tensor of another number of rows, with numbers in the same order."""
    last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    if last and not tensor.is_contiguous():
        return tensor.new_empty(size).contiguous(memory_format=torch.channels_last)
    return tensor.new_empty(size)
