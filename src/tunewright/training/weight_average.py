"""The moving average of the weights, which is evaluated and kept instead of them."""

import math
from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

COPIED = "_copied_into_averages"
"""Attribute of a module with the names of its buffers that are data, not statistics."""


class WeightAverage(AveragedModel):
    """Exponential moving averages of all parameters, and of their statistics.

    The decay warms up, so that a short training forgets its start: see `warmed_up_decay`.
    Floating-point buffers are averaged too, since the running statistics of the last weights do not
    fit the averaged ones; counters, and buffers that a module names under `COPIED`, are the
    model's. The averages of frozen parameters, and of the statistics of modules that are in
    evaluation mode, stay as they are. Its state is that of PyTorch's `AveragedModel`.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Update the averages after a step."""
        averaged: list[Tensor] = []
        current: list[Tensor] = []
        copied, frozen = _buffers_apart(model)
        own = chain(self.module.named_parameters(), self.module.named_buffers())
        others = chain(model.parameters(), model.buffers())
        for (name, mine), theirs in zip(own, others, strict=True):
            if name in frozen or (isinstance(theirs, nn.Parameter) and not theirs.requires_grad):
                continue
            if mine.is_floating_point() and name not in copied:
                averaged.append(mine)
                current.append(theirs)
            else:
                mine.copy_(theirs)
        decay = warmed_up_decay(self.decay, int(self.n_averaged))  # on the CPU: no wait
        torch._foreach_lerp_(averaged, current, 1.0 - decay)
        self.n_averaged += 1


def warmed_up_decay(decay: float, updates: int) -> float:
    """Return the decay of the next update after `updates`: min(decay, (1 + n) / (10 + n)).

    That is 0.1 at first, and 0.9 after 80 updates. Source: `num_updates` of TensorFlow's
    `tf.train.ExponentialMovingAverage`.
    """
    return min(decay, (1.0 + updates) / (10.0 + updates))


def average_notices(decay: float, steps: int) -> list[str]:
    """Return a notice if the average reaches back further than a training of `steps` steps."""
    steps = max(1, steps)
    if decay <= 1.0 - 1.0 / steps:
        return []
    last = warmed_up_decay(decay, steps - 1)
    return [
        f"training.ema_decay={decay:g} averages over about {1.0 / (1.0 - decay):,.0f} steps, and "
        f"this run has {steps:,}: it would not forget its initial weights. The decay is warmed up, "
        f"min(decay, (1 + n) / (10 + n)) at step n, and ends at {last:.3g}, an average over about "
        f"{1.0 / (1.0 - last):,.0f} steps; training.ema_decay={_largest(steps):g} is the largest "
        "that fits."
    ]


def _largest(steps: int) -> float:
    """Return 1 - 1 / steps, rounded down so that two digits differ from 1: 0.984 for 64 steps."""
    unit: int = 10 ** (1 + len(str(steps)))
    return (unit - math.ceil(unit / steps)) / unit


def _buffers_apart(model: nn.Module) -> tuple[set[str], set[str]]:
    """Return the names of the buffers that are copied, and of those that stay as they are.

    The latter belong to modules that do not train while the model does.
    """
    copied: set[str] = set()
    frozen: set[str] = set()
    for prefix, module in model.named_modules():
        start = f"{prefix}." if prefix else ""
        copied.update(start + name for name in getattr(module, COPIED, ()))
        if model.training and not module.training:
            frozen.update(start + name for name, _ in module.named_buffers(recurse=False))
    return copied, frozen
