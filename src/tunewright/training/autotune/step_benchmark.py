"""Steps that are tried on a copy: what they take, one way or another."""

import copy
import math
import time
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from tunewright.config.schema import RunConfig
from tunewright.errors import Diverged
from tunewright.training.autotune.memory_format import lay_out
from tunewright.training.autotune.timing_cache import StepSettings, StepTime
from tunewright.training.optim import make_optimizer, set_factor
from tunewright.training.randomness import seed_all
from tunewright.training.task import Batch, Clock, Setup

STEPS = 3
"""Steps of one visit; the first of them only warms up."""


class StepBenchmark:
    """Copies of model and task that take steps at rate zero, so that their weights stay."""

    def __init__(
        self, setup: Setup, config: RunConfig, device: torch.device, batches: list[Batch]
    ) -> None:
        self._setup, self._config, self._device = setup, config, device
        self._batches = batches
        self._compiled: tuple[StepSettings, Callable[[], tuple[float, float]]] | None = None

    def time_steps(self, choice: StepSettings) -> StepTime:
        """Take a few steps as `choice` says, from the weights and the seed that the run has.

        What was compiled is visited again without compiling again.
        """
        seed_all(self._config.seed)
        if self._compiled is not None and self._compiled[0] == choice:
            step = self._compiled[1]
            return StepTime((min(step()[0] for _ in range(STEPS)),), step()[1])
        step = self._stepper(choice)
        if choice.compiled:
            self._compiled = choice, step
        taken, losses = zip(*(step() for _ in range(STEPS + choice.compiled)), strict=True)
        seconds = min(taken[1:])
        return StepTime(
            (seconds,), losses[0], max(0.0, taken[0] - seconds) if choice.compiled else 0.0
        )

    def close(self) -> None:
        """Let go of what was compiled."""
        if self._compiled is not None:
            self._compiled = None
            torch._dynamo.reset()

    def _stepper(self, choice: StepSettings) -> Callable[[], tuple[float, float]]:
        """A copy, and what takes a step of it: seconds, and the loss before it."""
        # Together, so that a task which holds on to modules holds those of the copy.
        model, task = copy.deepcopy((self._setup.model, self._setup.task))
        model.to(self._device)
        lay_out(model, choice.layout)
        model.train()
        # The middle of the training: what is frozen only at its start does not stand for it.
        epochs, per_epoch = (
            self._config.training.epochs,
            steps_per_epoch(self._setup, self._config),
        )
        task.on_epoch(model, Clock(epochs // 2, epochs // 2 * per_epoch, epochs, per_epoch))
        optimizer = make_optimizer(self._config.optim, task.param_groups(model))
        set_factor(optimizer, 0.0)
        scaler = torch.amp.GradScaler(self._device.type, enabled=choice.precision == "fp16")
        stepping = cast(nn.Module, torch.compile(model) if choice.compiled else model)

        def backward(total: Tensor) -> None:
            with torch.autocast(self._device.type, enabled=False):
                scaler.scale(total).backward()

        def step() -> tuple[float, float]:
            began = time.perf_counter()
            with torch.autocast(
                self._device.type,
                torch.float16 if choice.precision == "fp16" else torch.bfloat16,
                enabled=choice.precision != "no",
            ):
                loss = task.backward(stepping, self._batches, backward)
            scaler.unscale_(optimizer)
            if (norm := self._config.training.clip_norm) is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), norm)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            value = float(loss.total)  # waits for the device
            if not math.isfinite(value):
                raise Diverged("the loss is not a finite number")
            return time.perf_counter() - began, value

        return step


def steps_per_epoch(setup: Setup, config: RunConfig) -> int:
    """Optimizer steps of one epoch: the last of them may have fewer micro-batches."""
    return math.ceil(len(setup.train) / config.training.accumulate)
