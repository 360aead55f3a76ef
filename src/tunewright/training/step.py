"""One optimiser step: the order of what happens in it, for every training here.

The trainer, the learning-rate finder and autotune all take their steps with `TrainingStep`.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from tunewright.training.autotune.precision import Precision
from tunewright.training.optim import set_factor, set_training
from tunewright.training.ranks.batch_parts import rows_of
from tunewright.training.ranks.random_rows import RandomRows
from tunewright.training.ranks.ranks import ALONE, Ranks
from tunewright.training.task import Batch, Clock, Loader, Loss, StepContext, Task
from tunewright.training.weight_average import WeightAverage


@dataclass(frozen=True)
class MixedPrecision:
    """The precision of a step: what opens autocast, and the scaler (disabled except in fp16)."""

    autocast: Callable[[], AbstractContextManager[Any]]
    scaler: GradScaler


def mixed_precision(precision: Precision, device: torch.device) -> MixedPrecision:
    """Return torch's own autocast and scaler for `precision` on `device`."""
    autocast = partial(
        torch.autocast,
        device.type,
        torch.float16 if precision == "fp16" else torch.bfloat16,
        enabled=precision != "no",
    )
    return MixedPrecision(autocast, GradScaler(device.type, enabled=precision == "fp16"))


class TrainingStep:
    """Takes the steps of one training.

    stepping: what runs the forward pass in place of `model`: the same weights, compiled.
    average: of the weights, updated after each step. ranks: the processes that take each step
    together. random: lets them draw the numbers of one process.

    weight: of the last step, what its loss counts in a mean over an epoch.
    """

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        optimizer: Optimizer,
        precision: MixedPrecision,
        *,
        clip_norm: float | None = None,
        average: WeightAverage | None = None,
        stepping: nn.Module | None = None,
        ranks: Ranks = ALONE,
        random: RandomRows | None = None,
    ) -> None:
        self.task, self.model, self.optimizer = task, model, optimizer
        self.precision, self.clip_norm, self.average = precision, clip_norm, average
        self.stepping = model if stepping is None else stepping
        self.ranks, self.random = ranks, random
        self.weight: float | Tensor = 0.0
        # Tasks written before StepContext take three arguments.
        self._after_step_takes_context = _accepts(task.after_step, 4)

    def take(
        self,
        batches: Sequence[Batch],
        clock: Clock,
        lr_factor: float,
        *,
        only_if_finite: bool = False,
    ) -> Loss:
        """Take the step that follows `clock`, and return its loss, detached.

        batches: the micro-batches whose gradients it accumulates. lr_factor: multiplies the full
        learning rate of every group. only_if_finite: wait for the loss and the gradient, and leave
        weights and moments as they are where one of them is not finite; the loss is then infinite
        or NaN. By default nothing waits for the device, and the caller looks at the losses later.
        """
        set_training(self.optimizer, training=True)
        set_factor(self.optimizer, lr_factor)
        context = self._context(batches, clock)
        # The loss is inside too: its matrix products can be larger than the model's.
        with self._draws(batches, context), self.precision.autocast():
            loss = self.task.backward(self.stepping, batches, context)
        loss = context.mean(loss)
        if only_if_finite and not math.isfinite(float(loss.total)):
            self.optimizer.zero_grad(set_to_none=True)
            return loss
        self.ranks.sum_gradients([p for p in self.model.parameters() if p.requires_grad])
        norm = self._clip()
        if only_if_finite and not self._is_finite(norm):
            self.optimizer.zero_grad(set_to_none=True)
            return loss._replace(total=torch.full_like(loss.total, math.nan))
        updated = self._update()
        self.optimizer.zero_grad(set_to_none=True)
        if updated:
            if self.average is not None:
                self.average.update_parameters(self.model)
            with self._draws(batches, context):
                self._call_after_step(batches, loss, context)
        return loss

    def _context(self, batches: Sequence[Batch], clock: Clock) -> StepContext:
        """Return the context of a step, and keep its weight."""
        weights = [self.task.weight(batch) for batch in batches]
        self.weight = sum(weights)
        context = StepContext(
            clock,
            self.stepping,
            self.optimizer,
            self.precision.autocast,
            self.precision.scaler.scale,
        )
        if self.ranks.alone:
            return context
        own = float(self.weight)
        found = self.ranks.gather_numbers([own, *(float(rows_of(batch)) for batch in batches)])
        total = sum(one[0] for one in found)
        self.weight, share = total, own / total
        scale = self.precision.scaler.scale
        rows = [[int(one[at]) for one in found] for at in range(1, len(batches) + 1)]
        return replace(
            context,
            scale=lambda total: scale(total * share),
            ranks=self.ranks,
            share=share,
            rows=rows,
        )

    def _draws(
        self, batches: Sequence[Batch], context: StepContext
    ) -> AbstractContextManager[None]:
        return nullcontext() if self.random is None else self.random.step(batches, context.rows)

    def _clip(self) -> Tensor | None:
        """Clip the gradient; return its norm before, None where it is not clipped."""
        if self.clip_norm is None:
            return None
        self.precision.scaler.unscale_(self.optimizer)
        return torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)

    def _is_finite(self, norm: Tensor | None) -> bool:
        """Return whether the gradient is finite; the scaler of fp16 looks after its own."""
        if self.precision.scaler.is_enabled():
            return True
        if norm is None:
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            norm = torch.nn.utils.get_total_norm(gradients)
        return math.isfinite(float(norm))

    def _update(self) -> bool:
        """Step the optimiser; return False where fp16 overflowed and the step was skipped."""
        scaler = self.precision.scaler
        before = scaler.get_scale()
        scaler.step(self.optimizer)
        scaler.update()
        return scaler.get_scale() >= before  # an overflow halves the scale

    def _call_after_step(self, batches: Sequence[Batch], loss: Loss, context: StepContext) -> None:
        after_step: Callable[..., None] = self.task.after_step
        if self._after_step_takes_context:
            clock = replace(context.clock, step=context.clock.step + 1)
            after_step(self.model, batches, loss, replace(context, clock=clock))
        else:
            after_step(self.model, batches, loss)


def micro_batches(batches: Iterator[Batch], accumulate: int) -> Iterator[list[Batch]]:
    """Yield the micro-batches of each step; the last step of an epoch may have fewer."""
    while step := list(islice(batches, accumulate)):
        yield step


def steps_per_epoch(loader: Loader, accumulate: int) -> int:
    """Return the optimiser steps of one epoch: the last may have fewer micro-batches."""
    return math.ceil(len(loader) / accumulate)


def _accepts(hook: Callable[..., object], arguments: int) -> bool:
    """Return whether `hook` can be called with that many positional arguments."""
    try:
        inspect.signature(hook).bind(*range(arguments))
    except TypeError:
        return False
    return True
