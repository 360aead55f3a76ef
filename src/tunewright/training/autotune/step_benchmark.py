"""Timed steps of a copy of model and task, in one setting or another."""

import copy
import math
import time
from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from tunewright.config.schema import RunConfig
from tunewright.errors import Diverged
from tunewright.training.autotune.memory_format import lay_out
from tunewright.training.autotune.timing_cache import StepSettings, StepTime
from tunewright.training.optim import make_optimizer
from tunewright.training.randomness import seed_all
from tunewright.training.step import TrainingStep, mixed_precision, steps_per_epoch
from tunewright.training.task import Batch, Clock, Setup

STEPS = 3
"""Steps of one visit; the first of them only warms up."""


class StepTooSlow(Exception):
    """A visit was given up, since the rest of it would take longer than it may."""


class StepBenchmark:
    """Takes the steps of the trainer on copies of model and task, at learning rate zero."""

    def __init__(
        self, setup: Setup, config: RunConfig, device: torch.device, batches: list[Batch]
    ) -> None:
        self._setup, self._config, self._device = setup, config, device
        self._batches = batches
        self._compiled: tuple[StepSettings, Callable[[], tuple[float, float]]] | None = None

    def time_steps(self, choice: StepSettings, seconds: float = math.inf) -> StepTime:
        """Take a few steps as `choice` says, from the weights and the seed that the run has.

        What was compiled is visited again without compiling again. seconds: how long the visit
        may take. Raises StepTooSlow once the steps taken say that it would take longer.
        """
        seed_all(self._config.seed)
        left = seconds
        taken: list[float] = []
        losses: list[float] = []

        def take_all(step: Callable[[], tuple[float, float]], count: int) -> None:
            nonlocal left
            for _ in range(count):
                if taken and taken[-1] > left:
                    raise StepTooSlow(f"a step takes {taken[-1]:.3g} s")
                second, loss = step()
                left -= second
                taken.append(second)
                losses.append(loss)

        if self._compiled is not None and self._compiled[0] == choice:
            take_all(self._compiled[1], STEPS)
            return StepTime((min(taken),), losses[0])
        step = self._stepper(choice)
        if choice.compiled:
            self._compiled = choice, step
        take_all(step, STEPS + choice.compiled)
        fastest = min(taken[1:])
        compiling = max(0.0, taken[0] - fastest) if choice.compiled else 0.0
        return StepTime((fastest,), losses[0], compiling)

    def close(self) -> None:
        """Free what was compiled."""
        if self._compiled is not None:
            self._compiled = None
            torch._dynamo.reset()

    def _stepper(self, choice: StepSettings) -> Callable[[], tuple[float, float]]:
        """Return what takes a step of a new copy: seconds, and the loss before it."""
        # Copied together, so that a task which holds modules holds those of the copy.
        model, task = copy.deepcopy((self._setup.model, self._setup.task))
        model.to(self._device)
        lay_out(model, choice.layout)
        model.train()
        # The middle of the training: what is frozen only at its start is not representative.
        training = self._config.training
        per_epoch = steps_per_epoch(self._setup.train, training.accumulate)
        half = training.epochs // 2
        clock = Clock(half, half * per_epoch, training.epochs, per_epoch)
        task.on_epoch(model, clock)
        steps = TrainingStep(
            task,
            model,
            make_optimizer(self._config.optim, task.param_groups(model)),
            mixed_precision(choice.precision, self._device),
            clip_norm=training.clip_norm,
            stepping=cast(nn.Module, torch.compile(model)) if choice.compiled else None,
        )

        def step() -> tuple[float, float]:
            began = time.perf_counter()
            value = float(steps.take(self._batches, clock, 0.0).total)  # waits for the device
            if not math.isfinite(value):
                raise Diverged("the loss is not a finite number")
            return time.perf_counter() - began, value

        return step
