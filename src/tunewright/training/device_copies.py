"""Tensors that were moved to a device once, for every trial of a warm worker."""

from collections.abc import MutableMapping, Sequence

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary


def copies_on(
    device: torch.device, tensors: Sequence[Tensor], budget_bytes: int
) -> tuple[Tensor, ...] | None:
    """All of `tensors` on `device`, if what is not there yet fits into the budget; else None.

    A tensor that was moved before is taken from there while it lives here: the next trial of a
    warm worker has nothing to copy.
    """
    missing = [tensor for tensor in tensors if device not in _COPIES.get(tensor, {})]
    if sum(tensor.nbytes for tensor in missing) > budget_bytes:
        return None
    for tensor in missing:
        _COPIES.setdefault(tensor, {})[device] = tensor.to(device)
    return tuple(_COPIES[tensor][device] for tensor in tensors)


_COPIES: MutableMapping[Tensor, dict[torch.device, Tensor]] = WeakIdKeyDictionary()
"""What was moved to a device, for as long as the tensor it was moved from lives."""
