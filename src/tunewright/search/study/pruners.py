"""Pruners by name: when they may stop a trial, and which one.

A component takes the last step and the sign of the direction (1.0 where more is better, else -1.0)
from the program, and returns a `Pruner`.
"""

from collections.abc import Callable
from typing import Literal

from tunewright.config import study_schema
from tunewright.config.components import plugins
from tunewright.errors import ConfigError
from tunewright.registry import Registry
from tunewright.search.study.pruning.ranked_halving import RankedHalving
from tunewright.search.study.stopping_rules import (
    Curve as Curve,
)
from tunewright.search.study.stopping_rules import (
    Halving,
    Hyperband,
    NoPruner,
    Patient,
    Percentile,
)
from tunewright.search.study.stopping_rules import (
    Pruner as Pruner,
)

Direction = Literal["max", "min"]
ASSUMED_FIRST = 2
"""First rung of `asha` until the data say where trials are ranked."""
PRUNERS: Registry[Callable[..., Pruner]] = Registry("pruner", plugins.PRUNERS)


def pruner(settings: study_schema.Pruner, last_step: int, direction: Direction) -> Pruner:
    """Return the configured pruner.

    Raises ConfigError when it could never act before `last_step`, after which there is nothing left
    to stop.
    """
    made = _make_pruner(settings, last_step, 1.0 if direction == "max" else -1.0)
    first = _first_too_late(made, last_step)
    if first is not None:
        raise ConfigError(
            f"the pruner {settings.type} would never prune: its first decision is after "
            f"{first} epochs, and the last epoch is {last_step}",
            expected="a decision before the last epoch",
            remedy=_remedy(settings, last_step),
        )
    return made


def shrink_pruner(settings: study_schema.Pruner, last_step: int) -> study_schema.Pruner:
    """Return the pruner with its first decision moved before `last_step`, no earlier than needed.

    Returns the pruner `none` where even the earliest decision would come too late.
    """
    if _first_too_late(_make_pruner(settings, last_step, 1.0), last_step) is None:
        return settings
    wait = _WAITS.get(settings.type, "")
    least = 1 if wait == "min_resource" else 0
    given = getattr(settings, wait, 0)
    for shorter in range((ASSUMED_FIRST if given is None else given) - 1, least - 1, -1):
        earlier = settings.model_copy(update={wait: shorter})
        if _first_too_late(_make_pruner(earlier, last_step, 1.0), last_step) is None:
            return earlier
    return study_schema.NoPrunerConfig()


def _first_too_late(made: Pruner, last_step: int) -> int | None:
    """Return the step of the first decision if it comes too late to stop anything, else None."""
    first = next(made.steps(), None)
    return first if first is not None and first >= last_step else None


_WAITS = {
    "asha": "min_resource",
    "hyperband": "min_resource",
    "median": "warmup_steps",
    "percentile": "warmup_steps",
    "patient": "patience",
}
"""The settings that delay a pruner's first decision."""

_MEDIAN = study_schema.MedianConfig()


def _remedy(settings: study_schema.Pruner, last_step: int) -> str:
    """Return the settings with which a pruner decides in time, as they are typed."""
    fitting = shrink_pruner(settings, last_step)
    if fitting.type != settings.type and isinstance(settings, study_schema.AshaConfig):
        early = settings.model_copy(update={"min_early_stopping_rate": 0, "reduction_factor": 2})
        fitting = shrink_pruner(early, last_step)
    if fitting.type != settings.type:
        return f"With {last_step} epoch(s) nothing can be pruned: study.pruner.type=none."
    given, wanted = settings.model_dump(), fitting.model_dump()
    words = " ".join(f"study.pruner.{k}={v}" for k, v in wanted.items() if v != given[k])
    return f"Use {words or 'other options'}, more epochs, or study.pruner.type=none alone."


def _make_pruner(settings: study_schema.Pruner, last_step: int, sign: float) -> Pruner:
    options = plugins.options_of(settings)
    return PRUNERS[settings.type](last_step, sign, **options)


@PRUNERS
def none(_last_step: int, _sign: float, /) -> Pruner:
    """Make the pruner that stops no trial."""
    return NoPruner()


@PRUNERS
def asha(
    last_step: int,
    sign: float,
    /,
    *,
    min_resource: int | None = None,
    reduction_factor: int = 2,
    min_early_stopping_rate: int = 0,
) -> Pruner:
    """Make asynchronous successive halving; its first rung follows the data if none is given."""
    if min_resource is None:
        rate = min_early_stopping_rate
        return RankedHalving(ASSUMED_FIRST, reduction_factor, rate, last_step, sign)
    first = min_resource * reduction_factor**min_early_stopping_rate
    return Halving(first, reduction_factor, sign)


@PRUNERS
def hyperband(
    last_step: int, sign: float, /, *, min_resource: int = 1, reduction_factor: int = 3
) -> Pruner:
    """Make brackets of successive halving."""
    return Hyperband(min_resource, last_step, reduction_factor, sign)


@PRUNERS
def median(
    _last_step: int,
    sign: float,
    /,
    *,
    startup_trials: int = 5,
    warmup_steps: int = 0,
    interval_steps: int = 1,
) -> Pruner:
    """Make the percentile pruner at 50."""
    return Percentile(50.0, startup_trials, warmup_steps, interval_steps, sign)


@PRUNERS
def percentile(
    _last_step: int,
    sign: float,
    /,
    *,
    percentile: float = 25.0,
    startup_trials: int = 5,
    warmup_steps: int = 0,
    interval_steps: int = 1,
) -> Pruner:
    """Make the pruner that lets the best `percentile` per cent go on."""
    return Percentile(percentile, startup_trials, warmup_steps, interval_steps, sign)


@PRUNERS
def patient(
    last_step: int,
    sign: float,
    /,
    *,
    patience: int = 3,
    min_delta: float = 0.0,
    wrapped: study_schema.Wrapped = _MEDIAN,
) -> Pruner:
    """Make the pruner that asks `wrapped` about trials that stopped improving."""
    alone = isinstance(wrapped, study_schema.NoPrunerConfig)
    inner = None if alone else _make_pruner(wrapped, last_step, sign)
    return Patient(patience, min_delta, inner, sign)
