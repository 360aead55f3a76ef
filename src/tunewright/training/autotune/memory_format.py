"""The memory format of pictures and filters: channel by channel, or pixel by pixel."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

Layout = Literal["contiguous", "channels_last"]
HOOK = "_channels_last_hook"


def lay_out(model: nn.Module, layout: Layout) -> None:
    """Bring the weights of `model`, and all pictures passed to it from now on, into `layout`.

    Parameters stay the same objects, so optimisers over them stay valid. A copy of the model
    keeps the layout.
    """
    hook = model.__dict__.pop(HOOK, None)
    if hook is not None:
        hook.remove()
    if layout == "channels_last":
        model.to(memory_format=torch.channels_last)
        model.__dict__[HOOK] = model.register_forward_pre_hook(_pixel_by_pixel)
    elif hook is not None:
        model.to(memory_format=torch.contiguous_format)


def _pixel_by_pixel(_model: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        item.contiguous(memory_format=torch.channels_last)
        if isinstance(item, Tensor) and item.ndim == 4
        else item
        for item in inputs
    )
