"""Gamma of a configuration over its run, beside all other strategies; imports without torch."""

from collections.abc import Callable, Sequence
from functools import partial

from pydantic import TypeAdapter

from tunewright.recipes.compression.balance.config import FamoConfig
from tunewright.recipes.compression.balance.gamma import CALM, RESTLESS, gamma_at, plan_gamma
from tunewright.recipes.compression.balance.gamma_config import (
    STRATEGIES,
    AdaptiveGamma,
    GammaSchedule,
)
from tunewright.recipes.compression.config import CompressionConfig
from tunewright.recipes.scheduled_values import ScheduledValue

_SCHEDULES: TypeAdapter[GammaSchedule] = TypeAdapter(GammaSchedule)
FLAT, JUMPING = (1.0,), (1.0, 1.0, 9.0)
"""Validation losses that hardly vary, and such that jump, when they are repeated."""


def scheduled_gamma(config: CompressionConfig) -> ScheduledValue:
    """Return gamma over the run, and under each of the other strategies for a comparison.

    Without `balance.type=famo` it is only compared, for the default gamma. Raises ConfigError as
    `plan_gamma` does.
    """
    epochs = config.training.epochs
    balance = config.balance if isinstance(config.balance, FamoConfig) else FamoConfig()
    schedule = balance.schedule
    planned = plan_gamma(balance.gamma, schedule, epochs)
    note = ""
    if isinstance(schedule, AdaptiveGamma):
        note = f"from {schedule.window} validations on {CALM} to {RESTLESS} times as much"
    elif schedule.type == "fixed":
        note = "balance.schedule.type=cosine, or --adaptive_gamma, varies it"
    return ScheduledValue(
        "gamma",
        schedule.type,
        partial(gamma_at, balance.gamma, planned),
        _strategies(balance, epochs),
        note,
        in_use=isinstance(config.balance, FamoConfig),
    )


def _strategies(balance: FamoConfig, epochs: int) -> dict[str, Callable[[float], float]]:
    """Return gamma of each strategy; what a strategy shares with the configured one is the same."""
    set_here = balance.schedule.model_dump(exclude={"type"})
    found: dict[str, Callable[[float], float]] = {}
    for name, kind in STRATEGIES.items():
        options = {"final": min(0.001, balance.gamma), **set_here}
        known = {key: one for key, one in options.items() if key in kind.model_fields}
        fitting = {"type": name, **known}
        schedule = plan_gamma(balance.gamma, _SCHEDULES.validate_python(fitting), epochs)
        if isinstance(schedule, AdaptiveGamma):
            found["adaptive, flat losses"] = _with_losses(balance, schedule, epochs, FLAT)
            found["adaptive, jumping losses"] = _with_losses(balance, schedule, epochs, JUMPING)
        else:
            found[name] = partial(gamma_at, balance.gamma, schedule)
    return found


def _with_losses(
    balance: FamoConfig, schedule: AdaptiveGamma, epochs: int, pattern: Sequence[float]
) -> Callable[[float], float]:
    """Return gamma of `adaptive` where one validation after each epoch repeats a pattern."""

    def at(fraction: float) -> float:
        known = min(round(fraction * epochs), schedule.window)
        losses = [pattern[place % len(pattern)] for place in range(known)]
        return gamma_at(balance.gamma, schedule, fraction, losses)

    return at
