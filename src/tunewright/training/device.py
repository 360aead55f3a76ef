"""The device of this process, and copies of tensors on it."""

from collections.abc import MutableMapping, Sequence

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary


def default_device() -> torch.device:
    """Return the first GPU that this process may use, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def copies_on(
    device: torch.device, tensors: Sequence[Tensor], budget_bytes: int
) -> tuple[Tensor, ...] | None:
    """Return `tensors` on `device`, or None if those not there yet exceed the budget.

    A copy lives as long as its original, so the next trial of a warm worker copies nothing.
    """
    missing = [tensor for tensor in tensors if device not in _COPIES.get(tensor, {})]
    if sum(tensor.nbytes for tensor in missing) > budget_bytes:
        return None
    for tensor in missing:
        _COPIES.setdefault(tensor, {})[device] = tensor.to(device)
    return tuple(_COPIES[tensor][device] for tensor in tensors)


_COPIES: MutableMapping[Tensor, dict[torch.device, Tensor]] = WeakIdKeyDictionary()
"""Copies by device, for as long as the original tensor lives."""
