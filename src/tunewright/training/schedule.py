"""Learning-rate schedules: the factor on the learning rate as a function of the clock."""

import math
from bisect import bisect_right

from tunewright.config.schema import (
    ConstantSchedule,
    CosineSchedule,
    LinearSchedule,
    MilestoneSchedule,
    StepSchedule,
    WarmupConfig,
)
from tunewright.training.task import Clock


def factor(
    schedule: ConstantSchedule | CosineSchedule | LinearSchedule | StepSchedule | MilestoneSchedule,
    clock: Clock,
) -> float:
    """Return the factor on the learning rate for the next step of the clock.

    Warm-up rises linearly and reaches 1 in its last step: with 4 steps it is 0.25, 0.5, 0.75, 1.
    The rest runs over the remaining steps of the horizon. Cosine: Loshchilov & Hutter 2017,
    equation 5, without restarts.
    """
    warmup = _warmup(schedule, clock)
    if clock.step < warmup:
        return (clock.step + 1) / warmup
    done = min((clock.step - warmup) / max(1, clock.steps - warmup), 1.0)
    match schedule:
        case ConstantSchedule():
            return 1.0
        case CosineSchedule(final_fraction=final):
            return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done))
        case LinearSchedule(final_fraction=final):
            return final + (1.0 - final) * (1.0 - done)
        case StepSchedule(every_fraction=every, decay=decay):
            return float(decay ** math.floor(done / every + 1e-9))
        case MilestoneSchedule(fractions=fractions, factors=factors):
            passed = bisect_right(fractions, done + 1e-9)
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


def _warmup(schedule: WarmupConfig, clock: Clock) -> int:
    """Return the steps of the warm-up, in whichever unit it was configured."""
    if schedule.warmup_steps is not None:
        return schedule.warmup_steps
    if schedule.warmup_epochs is not None:
        return round(schedule.warmup_epochs * clock.steps_per_epoch)
    return round(schedule.warmup_fraction * clock.steps)
