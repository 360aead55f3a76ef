"""The learning-rate range test: a short training from far too low a rate to far too high a one.

Sources: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; from
fastai the exponential sweep, the stop on divergence and the name `valley`.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from statistics import fmean

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tunewright.config.schema import RunConfig
from tunewright.errors import DataError, Diverged
from tunewright.training.optim import make_optimizer, set_factor
from tunewright.training.randomness import random_state, restore_random_state, seed_all
from tunewright.training.task import Batch, Clock, Loader, Setup
from tunewright.training.trainer import resolve_precision

CLEAR_FALL = 3.0
"""How many standard deviations of a single loss the smoothed loss must fall by.

Of 4,000 sweeps of pure noise, normal or heavy-tailed, with 10 to 400 steps, none reached it.
"""
ROUNDING = 1e-5
"""The share of the first loss that a fall must exceed, whatever the noise."""
FEWEST_STEPS = 10
"""Fewer losses than these show no curve."""
SHORTEST_MEMORY = 5.0
"""Steps that the average reaches back at least, so that what is left of the noise is known."""
FLANK = 0.1
"""The share of the fall that is cut off at its top and at its foot before `valley` is read.

Otherwise the plateau before it counts, whose length is `low`'s doing, and the ripple after it.
"""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LrCurve:
    """The losses of a sweep by learning rate, and what they suggest.

    rates, losses, smoothed: one entry a step; a loss that is not finite is left out. diverged:
    whether the sweep ended early. suggestions: `steepest`, the rate where the smoothed loss
    falls fastest by decade, and `valley`, the rate two thirds along the longest descent; None
    when no fall stands out from the noise, and then `reason` says why.
    """

    rates: Sequence[float]
    losses: Sequence[float]
    smoothed: Sequence[float]
    diverged: bool
    suggestions: Mapping[str, float] | None
    reason: str = ""


def find_lr(
    setup: Setup,
    config: RunConfig,
    *,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.05,
    stop_factor: float = 4.0,
) -> LrCurve:
    """Take up to `steps` steps at rates that grow exponentially from `low` to `high`.

    The steps are the trainer's: the task's gradients, groups and hooks, micro-batches, clipping
    and precision; only the schedule is replaced, and it stays the first epoch. A copy of model
    and task takes them, so the set-up is left as it is, bit for bit, and the process gets its
    random state back, even when it is interrupted.

    smoothing: how far back the average of losses reaches, as a share of `steps`. stop_factor:
    the sweep ends when that average is so many times its lowest value, or not finite.
    Raises DataError when there is nothing to train on.
    """
    decay = 1.0 - 1.0 / max(SHORTEST_MEMORY, smoothing * steps)
    rates = [float(rate) for rate in np.geomspace(low, high, steps)]
    losses: list[float] = []
    best = ceiling = math.inf
    before = random_state()
    try:
        training = _Training(setup, config)
        _settle(training, most=steps)
        for rate in rates:
            loss = training.step(rate)
            if not math.isfinite(loss):
                break
            losses.append(loss)
            level = float(_smooth(losses, decay)[-1])
            best = min(best, level)
            # A loss may be zero or negative, where a multiple means nothing: it must also have
            # climbed back to where it began.
            ceiling = max(losses[0], best + (stop_factor - 1.0) * abs(best))
            if level > ceiling:
                break
    finally:
        restore_random_state(before)
    diverged = len(losses) < steps or level > ceiling
    return read_curve(rates, losses, decay=decay, ceiling=ceiling, diverged=diverged)


def read_curve(
    rates: Sequence[float],
    losses: Sequence[float],
    *,
    decay: float = 0.8,
    ceiling: float = math.inf,
    diverged: bool = False,
) -> LrCurve:
    """Smooth a sweep, and read both suggestions off it or say why it has none.

    decay: what a loss counts for in the average one step away. ceiling: losses above it count
    as this much, lest the explosion at the end bury the curve before it.
    """
    rates = list(rates[: len(losses)])
    smoothed = _smooth(np.minimum(losses, ceiling), decay)
    reason = _refusal(np.asarray(losses), smoothed, rates, diverged)
    suggestions = None if reason else _suggestions(np.log10(rates), smoothed)
    return LrCurve(rates, list(losses), smoothed.tolist(), diverged, suggestions, reason)


class _Training:
    """A copy of model and task in training, one step at a time at any rate."""

    def __init__(self, setup: Setup, config: RunConfig) -> None:
        loader, accumulate = setup.train, config.training.accumulate
        if len(loader) == 0:
            raise DataError("the training set gives no batch", expected="at least one an epoch")
        self.config = config
        # Copied together, so that a task which holds on to modules holds those of the copy.
        self.model, self.task = copy.deepcopy((setup.model, setup.task))
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(device)
        self.optimizer = make_optimizer(config.optim, self.task.param_groups(self.model))
        precision = resolve_precision(config.training.precision, cpu=device.type == "cpu")
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self.autocast = torch.autocast(
            device.type,
            torch.float16 if precision == "fp16" else torch.bfloat16,
            enabled=precision != "no",
        )
        self.steps = _steps(loader, accumulate)
        seed_all(config.seed)
        self.model.train()
        self.task.on_epoch(
            self.model,
            Clock(0, 0, config.training.epochs, math.ceil(len(loader) / accumulate)),
        )

    def step(self, rate: float) -> float:
        """The loss of the next step, which is then taken at `rate` if the loss is finite."""
        batches = next(self.steps)
        try:
            with self.autocast:
                loss = self.task.backward(self.model, batches, self._backward)
        except Diverged:
            return math.nan
        value = float(loss.total)
        if not math.isfinite(value):
            return value
        self.scaler.unscale_(self.optimizer)
        if (norm := self.config.training.clip_norm) is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), norm)
        set_factor(self.optimizer, rate / self.config.optim.lr)
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.scaler.get_scale() >= scale:  # it sinks when a step was skipped
            self.task.after_step(self.model, batches, loss)
        return value

    def _backward(self, total: Tensor) -> None:
        with torch.autocast(total.device.type, enabled=False):
            self.scaler.scale(total).backward()


def _settle(training: _Training, *, most: int, block: int = 5) -> None:
    """Steps at rate 0 for as long as the loss rises by itself, as it does while a queue fills."""
    before = -math.inf
    for _ in range(most // block):
        level = fmean(training.step(0.0) for _ in range(block))
        if not level > before:
            return
        before = level


def _steps(loader: Loader, accumulate: int) -> Iterator[list[Batch]]:
    """The micro-batches of each step, epoch after epoch."""
    for epoch in count():
        batches = loader.epoch(epoch)
        while step := list(islice(batches, accumulate)):
            yield step


def _smooth(losses: Sequence[float] | Numbers, decay: float) -> Numbers:
    """Exponential averages that look both ways, and so do not lag behind the rate.

    The last one has only a past: it is the running average, with its bias corrected.
    """
    index = np.arange(len(losses))
    weights = decay ** np.abs(index[:, None] - index)  # [steps, steps]
    averages: Numbers = weights @ np.asarray(losses, np.float64) / weights.sum(axis=1)
    return averages


def _refusal(losses: Numbers, smoothed: Numbers, rates: Sequence[float], diverged: bool) -> str:
    """Why nothing can be read off the curve; empty when something can."""
    if len(losses) < FEWEST_STEPS:
        return (
            f"the loss diverged after {len(losses)} steps, and {FEWEST_STEPS} are the fewest that "
            "show a curve: begin at a lower rate"
        )
    lowest = int(smoothed.argmin())
    first, fall = smoothed[0], smoothed[0] - smoothed[lowest]
    known = slice(0, max(lowest + 1, FEWEST_STEPS))  # what diverges later is not noise
    noise = float((losses - smoothed)[known].std())
    clear = max(CLEAR_FALL * noise, ROUNDING * abs(first))
    if fall <= clear:
        if smoothed[-1] - first > clear:
            return (
                f"the loss does not fall clearly before it rises from {first:.4g} to "
                f"{smoothed[-1]:.4g}: begin at a lower rate"
            )
        return (
            f"the loss falls by {fall:.2g} where single losses scatter by {noise:.2g}, and only "
            f"a fall of {clear:.2g} would stand out: larger batches, more steps or a higher rate "
            "may show one"
        )
    if not diverged and _foot(smoothed) >= len(losses) - FEWEST_STEPS // 2:
        return f"the loss still falls at the highest rate, {rates[-1]:.2g}: sweep higher"
    return ""


def _suggestions(decades: Numbers, smoothed: Numbers) -> Mapping[str, float]:
    foot = _foot(smoothed)
    top = int(np.flatnonzero(smoothed[: foot + 1] >= smoothed[0] - _flank(smoothed))[-1])
    descent = top + _longest_descent(smoothed[top : foot + 1])
    steepest = int(np.gradient(smoothed, decades)[: foot + 1].argmin())
    valley = int(descent[len(descent) * 2 // 3])
    return {"steepest": float(10 ** decades[steepest]), "valley": float(10 ** decades[valley])}


def _flank(smoothed: Numbers) -> float:
    return float(FLANK * (smoothed[0] - smoothed.min()))


def _foot(smoothed: Numbers) -> int:
    """The step where the loss has fallen nearly as far as it ever does."""
    return int(np.flatnonzero(smoothed <= smoothed.min() + _flank(smoothed))[0])


def _longest_descent(values: Numbers) -> npt.NDArray[np.int64]:
    """The indices of the longest strictly decreasing subsequence; they need not be adjacent."""
    lengths = np.ones(len(values), np.int64)
    previous = np.full(len(values), -1)
    for index in range(1, len(values)):
        higher = np.flatnonzero(values[:index] > values[index])
        if len(higher):
            previous[index] = higher[lengths[higher].argmax()]
            lengths[index] = lengths[previous[index]] + 1
    path = [int(lengths.argmax())]
    while previous[path[-1]] >= 0:
        path.append(int(previous[path[-1]]))
    return np.array(path[::-1])
