"""Check that a picture can be coded in the free memory, before any is allocated."""

from typing import Any

import torch
from torch import Tensor, nn

from tunewright.errors import DataError
from tunewright.recipes.compression.models.compressor import Compressor
from tunewright.runs.machine.free_memory import MIB, free_mib
from tunewright.runs.quantities import size
from tunewright.training.memory.device import free_device_bytes

CHEAP_PIXELS = 2**20
"""Pictures up to this size are not checked."""
AT_ONCE = 2.0
"""Peak memory of the network, as a multiple of the largest layer's input and output."""
PICTURE_BYTES = 64.0
"""Bytes a pixel for the picture itself, its latents and its symbols."""


def bytes_a_pixel(model: Compressor, device: torch.device) -> float:
    """Return the peak memory of coding in bytes a pixel, measured on the smallest picture."""
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
    """Raise DataError unless the device has the free memory to code `pixels` pixels."""
    free = free_device_bytes(device) if device.type == "cuda" else free_mib() * MIB
    if pixels * a_pixel > free:
        place = "the device" if device.type == "cuda" else "this machine"
        raise DataError(
            f"{name}: {pixels:,} pixels need about {size(pixels * a_pixel)} of memory at once, "
            f"{size(free)} are free on {place}",
            remedy="Code it on a machine with more memory, or in parts.",
        )
