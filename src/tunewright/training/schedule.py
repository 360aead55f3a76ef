"""Learning-rate schedules: the factor on the learning rate as a function of the clock. No torch.

A component takes the number of a step and of all steps, both without the warm-up, from the program;
it must be a pure function of them, so that a resumed run is the same training.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tunewright.config.components import plugins
from tunewright.config.components.schedules import Schedule, WarmupConfig
from tunewright.registry import Registry

if TYPE_CHECKING:
    from tunewright.training.task import Clock

SCHEDULES: Registry[Callable[..., float]] = Registry("schedule", plugins.SCHEDULES)
WARMUP_KEYS = tuple(WarmupConfig.model_fields)
FINE = 10_000
"""Steps of an epoch in place of an unknown number: a schedule hardly depends on it."""


def factor(schedule: Schedule, clock: "Clock") -> float:
    """Return the factor on the learning rate for the next step of the clock.

    Warm-up rises linearly and reaches 1 in its last step: with 4 steps it is 0.25, 0.5, 0.75, 1.
    The rest runs over the remaining steps of the horizon.
    """
    return _factor(schedule, clock.step, clock.epochs, clock.steps_per_epoch)


def _factor(schedule: Schedule, step: int, epochs: int, steps_per_epoch: int) -> float:
    warmup = warmup_steps(schedule, epochs, steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup
    options = plugins.options_of(schedule, own=WARMUP_KEYS)
    steps = max(1, epochs * steps_per_epoch - warmup)
    return float(SCHEDULES[schedule.type](step - warmup, steps, **options))


@SCHEDULES
def constant(_step: int, _steps: int, /) -> float:
    """Return 1."""
    return 1.0


@SCHEDULES
def cosine(step: int, steps: int, /, *, final_fraction: float = 0.0) -> float:
    """Follow half a cosine: Loshchilov & Hutter 2017, equation 5, without restarts."""
    return final_fraction + (1.0 - final_fraction) * 0.5 * (
        1.0 + math.cos(math.pi * _fraction_done(step, steps))
    )


@SCHEDULES
def linear(step: int, steps: int, /, *, final_fraction: float = 0.0) -> float:
    """Follow a straight line."""
    return final_fraction + (1.0 - final_fraction) * (1.0 - _fraction_done(step, steps))


@SCHEDULES
def polynomial(
    step: int, steps: int, /, *, power: float = 1.0, final_fraction: float = 0.0
) -> float:
    """Follow a power of what is left: torch's PolynomialLR, timm's PolyLRScheduler."""
    left = (1.0 - _fraction_done(step, steps)) ** power
    return float(final_fraction + (1.0 - final_fraction) * left)


@SCHEDULES
def one_cycle(
    step: int,
    steps: int,
    /,
    *,
    rise_fraction: float = 0.3,
    start_fraction: float = 0.04,
    final_fraction: float = 4e-6,
) -> float:
    """Follow half a cosine up, then one down: torch's OneCycleLR, whose last step is the lowest."""
    peak, last = rise_fraction * steps - 1.0, steps - 1.0
    if step <= peak:
        return _cosine_between(start_fraction, 1.0, step / peak if peak > 0 else 1.0)
    return _cosine_between(1.0, final_fraction, min((step - peak) / (last - peak), 1.0))


@SCHEDULES
def step(step: int, steps: int, /, *, every_fraction: float = 0.3, decay: float = 0.1) -> float:
    """Multiply by `decay` after each `every_fraction`."""
    return float(decay ** math.floor(_fraction_done(step, steps) / every_fraction + 1e-9))


@SCHEDULES
def milestones(
    step: int,
    steps: int,
    /,
    *,
    fractions: Sequence[float] = (0.5, 0.75),
    factors: Sequence[float] = (0.1, 0.01),
) -> float:
    """Return the factor of the last of `fractions` that is passed."""
    passed = bisect_right(fractions, _fraction_done(step, steps) + 1e-9)
    return factors[passed - 1] if passed else 1.0


def warmup_notices(schedule: WarmupConfig, steps: int) -> list[str]:
    """Return a notice if most of a training of `steps` steps is warm-up that is given in steps.

    One in epochs, or as a fraction, is checked before the training starts.
    """
    warmup = schedule.warmup_steps
    if warmup is None or 2 * warmup <= steps:
        return []
    end = "" if warmup <= steps else f", and never exceeds {100 * steps / warmup:.3g} % of optim.lr"
    return [
        f"{min(warmup, steps):,} of the {steps:,} steps of this run are warm-up of the learning "
        f"rate, which schedule.warmup_steps={warmup} sets{end}; "
        f"schedule.warmup_steps={math.ceil(steps / 10)} is a tenth of the run"
    ]


def extension_notice(
    schedule: Schedule, lr: float, lengths: tuple[int, int, int], rates: Mapping[int, float]
) -> str:
    """Return what becomes of the learning rate when a run trains longer than it was begun for.

    lr: `optim.lr`. lengths: epochs trained, planned before, and planned now. rates: the learning
    rate at the end of each epoch, where it was reported.
    """
    trained, before, epochs = lengths
    count = _steps_per_epoch(schedule, lr, rates)

    def rate(step: int, horizon: int) -> float:
        return round(_factor(schedule, step, horizon, count), 6) * lr

    was = rates.get(trained, rate(trained * count - 1, before))
    now, end = rate(trained * count, epochs), rate(epochs * count - 1, epochs)
    jump = f", {now / was:.3g} times as much" if was > 0.0 and now > 1.01 * was else ""
    return (
        f"training.epochs was {before} and is now {epochs}: the schedule ({schedule.type}) is "
        f"planned over {epochs} epochs. The learning rate was {was:.3g} at the end of epoch "
        f"{trained}; it is about {now:.3g} as epoch {trained + 1} begins{jump}, and {end:.3g} at "
        "the end"
    )


def _fraction_done(step: int, steps: int) -> float:
    return min(step / steps, 1.0)


def _cosine_between(start: float, end: float, done: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * done))


def warmup_steps(schedule: WarmupConfig, epochs: int, steps_per_epoch: int) -> int:
    """Return the steps of the warm-up, in whichever unit it was configured."""
    if schedule.warmup_steps is not None:
        return schedule.warmup_steps
    if schedule.warmup_epochs is not None:
        return round(schedule.warmup_epochs * steps_per_epoch)
    return round(schedule.warmup_fraction * epochs * steps_per_epoch)


def _steps_per_epoch(schedule: WarmupConfig, lr: float, rates: Mapping[int, float]) -> int:
    """Return the steps of an epoch as far as a warm-up in steps tells them, else many."""
    warmup = schedule.warmup_steps
    if warmup and 0.0 < rates.get(1, lr) < lr:  # the first epoch ended within the warm-up
        return max(1, round(rates[1] / lr * warmup))
    return max(FINE, warmup or 0)
