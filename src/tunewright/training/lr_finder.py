"""The learning-rate range test: a short training from far too low a rate to far too high a one.

Sources: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; from
fastai the exponential sweep, the stop on divergence and the name `valley`.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import fmean

import numpy as np
import numpy.typing as npt

from tunewright.config.schema import RunConfig
from tunewright.errors import DataError, Diverged
from tunewright.training.autotune.precision import resolve_precision
from tunewright.training.device import default_device
from tunewright.training.optim import make_optimizer
from tunewright.training.randomness import random_state, restore_random_state, seed_all
from tunewright.training.step import (
    TrainingStep,
    micro_batches,
    mixed_precision,
    steps_per_epoch,
)
from tunewright.training.task import Batch, Clock, Loader, Setup

CLEAR_FALL = 3.0
"""How many standard deviations of a single loss the smoothed loss must fall by.

None of 4,000 sweeps of pure noise, normal or heavy-tailed, with 10 to 400 steps, reached it.
"""
ROUNDING = 1e-5
"""The share of the first loss that a fall must exceed at any noise."""
FEWEST_STEPS = 10
"""The fewest losses that show a curve."""
SHORTEST_MEMORY = 5.0
"""The fewest steps that the average spans, so that its remaining noise can be estimated."""
FLANK = 0.1
"""The share of the fall that is cut off at its top and at its foot before `valley` is read.

Otherwise the plateau before the fall would count, whose length depends on `low`, and the ripple
after it.
"""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LrCurve:
    """The losses of a sweep by learning rate, and the rates they suggest.

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

    The steps are those of the trainer: the task's gradients, groups and hooks, micro-batches,
    clipping and precision. Only the schedule is replaced, and the clock stays at the first epoch.
    A copy of model and task takes them, so the set-up stays as it is, bit for bit, and the random
    state of the process is restored, even after an interrupt.

    smoothing: the span of the average of losses, as a share of `steps`. stop_factor: the sweep
    ends when that average is this many times its lowest value, or not finite.
    Raises DataError when there is nothing to train on.
    """
    decay = 1.0 - 1.0 / max(SHORTEST_MEMORY, smoothing * steps)
    rates = [float(rate) for rate in np.geomspace(low, high, steps)]
    losses: list[float] = []
    best = ceiling = math.inf
    before = random_state()
    try:
        training = TrainingCopy(setup, config)
        _fill_queues(training, most=steps)
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
    """Smooth a sweep, and read both suggestions off it or give the reason why it has none.

    decay: the weight of a loss in the average one step away. ceiling: higher losses count as
    this much, so that the explosion at the end does not hide the curve before it.
    """
    rates = list(rates[: len(losses)])
    smoothed = _smooth(np.minimum(losses, ceiling), decay)
    reason = _refusal(np.asarray(losses), smoothed, rates, diverged)
    suggestions = None if reason else _suggestions(np.log10(rates), smoothed)
    return LrCurve(rates, list(losses), smoothed.tolist(), diverged, suggestions, reason)


class TrainingCopy:
    """A copy of model and task in training, one step at a time at any rate."""

    def __init__(self, setup: Setup, config: RunConfig) -> None:
        loader, accumulate = setup.train, config.training.accumulate
        if len(loader) == 0:
            raise DataError("the training set gives no batch", expected="at least one an epoch")
        # Copied together, so that a task which holds modules holds those of the copy.
        self.model, self.task = copy.deepcopy((setup.model, setup.task))
        device = default_device()
        self.model.to(device)
        self.full_lr = config.optim.lr
        self.steps = TrainingStep(
            self.task,
            self.model,
            make_optimizer(config.optim, self.task.param_groups(self.model)),
            mixed_precision(
                resolve_precision(config.training.precision, cpu=device.type == "cpu"), device
            ),
            clip_norm=config.training.clip_norm,
        )
        self.batches = _endless(loader, accumulate)
        self.clock = Clock(0, 0, config.training.epochs, steps_per_epoch(loader, accumulate))
        seed_all(config.seed)
        self.model.train()
        self.task.on_epoch(self.model, self.clock)

    def step(self, rate: float) -> float:
        """Take the next step at `rate` if its loss is finite; return that loss."""
        batches = next(self.batches)
        try:
            loss = self.steps.take(batches, self.clock, rate / self.full_lr, only_if_finite=True)
        except Diverged:
            return math.nan
        return float(loss.total)


def _fill_queues(training: TrainingCopy, *, most: int, block: int = 5) -> None:
    """Take steps at rate 0 while the loss rises by itself, as it does while a queue fills."""
    before = -math.inf
    for _ in range(most // block):
        level = fmean(training.step(0.0) for _ in range(block))
        if not level > before:
            return
        before = level


def _endless(loader: Loader, accumulate: int) -> Iterator[list[Batch]]:
    """Yield the micro-batches of each step, epoch after epoch."""
    for epoch in count():
        yield from micro_batches(loader.epoch(epoch), accumulate)


def _smooth(losses: Sequence[float] | Numbers, decay: float) -> Numbers:
    """Return exponential averages in both directions, which do not lag behind the rate.

    The last has only a past: it is the running average, with its bias corrected.
    """
    index = np.arange(len(losses))
    weights = decay ** np.abs(index[:, None] - index)  # [steps, steps]
    averages: Numbers = weights @ np.asarray(losses, np.float64) / weights.sum(axis=1)
    return averages


def _refusal(losses: Numbers, smoothed: Numbers, rates: Sequence[float], diverged: bool) -> str:
    """Return why nothing can be read off the curve; empty when something can."""
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
    descent = top + longest_descent(smoothed[top : foot + 1])
    steepest = int(np.gradient(smoothed, decades)[: foot + 1].argmin())
    valley = int(descent[len(descent) * 2 // 3])
    return {"steepest": float(10 ** decades[steepest]), "valley": float(10 ** decades[valley])}


def _flank(smoothed: Numbers) -> float:
    return float(FLANK * (smoothed[0] - smoothed.min()))


def _foot(smoothed: Numbers) -> int:
    """Return the step where the loss has fallen nearly as far as it ever does."""
    return int(np.flatnonzero(smoothed <= smoothed.min() + _flank(smoothed))[0])


def longest_descent(values: Numbers) -> npt.NDArray[np.int64]:
    """Return the indices of the longest strictly decreasing subsequence, adjacent or not."""
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
