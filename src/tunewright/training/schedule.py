"""Learning-rate schedules: the factor on the learning rate as a function of the clock. No torch.

A component takes the number of a step and of all steps, both without the warm-up, from the program;
it must be a pure function of them, so that a resumed run is the same training.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tunewright.config.components import plugins
from tunewright.config.components.schedules import Schedule, WarmupConfig
from tunewright.registry import Registry

if TYPE_CHECKING:
    from tunewright.training.task import Clock

SCHEDULES: Registry[Callable[..., float]] = Registry("schedule", plugins.SCHEDULES)
WARMUP_KEYS = tuple(WarmupConfig.model_fields)


def factor(schedule: Schedule, clock: "Clock") -> float:
    """Return the factor on the learning rate for the next step of the clock.

    Warm-up rises linearly and reaches 1 in its last step: with 4 steps it is 0.25, 0.5, 0.75, 1.
    The rest runs over the remaining steps of the horizon.
    """
    warmup = _warmup(schedule, clock)
    if clock.step < warmup:
        return (clock.step + 1) / warmup
    options = plugins.options_of(schedule, own=WARMUP_KEYS)
    steps = max(1, clock.steps - warmup)
    return float(SCHEDULES[schedule.type](clock.step - warmup, steps, **options))


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


def _fraction_done(step: int, steps: int) -> float:
    return min(step / steps, 1.0)


def _cosine_between(start: float, end: float, done: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * done))


def _warmup(schedule: WarmupConfig, clock: "Clock") -> int:
    """Return the steps of the warm-up, in whichever unit it was configured."""
    if schedule.warmup_steps is not None:
        return schedule.warmup_steps
    if schedule.warmup_epochs is not None:
        return round(schedule.warmup_epochs * clock.steps_per_epoch)
    return round(schedule.warmup_fraction * clock.steps)
