"""Whether a picture of a size can be coded in the memory that is free, before any is taken."""

from typing import Any

import torch
from torch import Tensor, nn

from tunewright.errors import DataError
from tunewright.recipes.compression.models.compressor import Compressor
from tunewright.runs.machine.free_memory import MIB, free_mib
from tunewright.runs.quantities import size
from tunewright.training.memory.device import free_device_bytes

CHEAP_PIXELS = 2**20
"""Up to here nothing is asked."""
AT_ONCE = 2.0
"""How much of the largest layer's input and output is alive at the same time, with all else."""
PICTURE_BYTES = 64.0
"""A pixel of the picture itself, its latents and its symbols."""


def bytes_a_pixel(model: Compressor, device: torch.device) -> float:
    """What coding takes at its peak; found by coding a picture of the smallest size."""
    largest = 0

    def on_forward(_module: nn.Module, given: tuple[Any, ...], found: Any) -> None:
        nonlocal largest
        tensors = [one for one in (*given, found) if isinstance(one, Tensor)]
        largest = max(largest, sum(one.nbytes for one in tensors))

    leaves = [module for module in model.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(on_forward) for module in leaves]
    side = model.multiple
    try:
        with torch.no_grad():
            y, _ = model.analyse(torch.zeros(1, 3, side, side, device=device))
            model.synthesise(y)
    finally:
        for hook in hooks:
            hook.remove()
    return AT_ONCE * largest / side**2 + PICTURE_BYTES


def check_room(pixels: int, a_pixel: float, device: torch.device, name: object) -> None:
    """DataError unless the free memory of the device holds the coding of so many pixels."""
    free = free_device_bytes(device) if device.type == "cuda" else free_mib() * MIB
    if pixels * a_pixel > free:
        place = "the device" if device.type == "cuda" else "this machine"
        raise DataError(
            f"{name}: {pixels:,} pixels need about {size(pixels * a_pixel)} of memory at once, "
            f"{size(free)} are free on {place}",
            remedy="Code it on a machine with more memory, or in parts.",
        )
