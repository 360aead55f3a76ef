"""Gamma, the decay of the task weights, as a pure function of the clock; imports without torch.

The adaptive schedule also depends on the validation losses so far, which the checkpoint holds.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, pstdev

from tunewright.errors import ConfigError
from tunewright.recipes.compression.balance.gamma_config import (
    AdaptiveGamma,
    Boundary,
    CosineGamma,
    FixedGamma,
    GammaSchedule,
    HpcmGamma,
    HpcmStepGamma,
    LinearGamma,
    StepGamma,
)

FINAL = 0.001
"""The guide's final gamma."""
STEP_FACTOR = 0.5
STEP_MILESTONES = (1 / 3, 2 / 3)
"""Where `step` halves gamma by default: epochs 1000 and 2000 of 3000."""
CALM, RESTLESS, RESTLESS_THRESHOLDS = 0.8, 1.2, 5.0
"""Factors of `adaptive`, and the multiple of the threshold above which gamma is raised."""
ADAPTIVE_MOST = 1.5
"""The most that `adaptive` raises gamma to, as a multiple of its first value."""
HPCM = ((0.0, 1.0), (0.1, 1.2), (2 / 3, 0.6), (1.0, 0.42))
"""Corners of `hpcm`: fraction of the run, and factor on gamma; straight lines between them."""
HPCM_STEPS = (1 / 6, 1 / 2, 11 / 12)
HPCM_STEP_FLOOR = 1 / 12


def gamma_at(
    gamma: float,
    schedule: GammaSchedule,
    fraction: float,
    validation_losses: Sequence[float] = (),
) -> float:
    """Return gamma when `fraction` of the run, 0 to 1, is done.

    gamma: its value before the schedule. schedule: with boundaries in fractions, as `plan_gamma`
    returns it. validation_losses: one after each validation so far, the oldest first; only
    `adaptive` reads them.
    """
    match schedule:
        case FixedGamma():
            return gamma
        case LinearGamma():
            return gamma - (gamma - _final(schedule.final, gamma)) * _after(
                schedule.warmup, fraction
            )
        case CosineGamma():
            return _cosine(gamma, _final(schedule.final, gamma), _after(schedule.warmup, fraction))
        case StepGamma():
            passed = bisect_right(schedule.milestones or STEP_MILESTONES, fraction)
            return max(gamma * STEP_FACTOR**passed, _final(schedule.final, gamma))
        case AdaptiveGamma():
            final = _final(schedule.final, gamma)
            cosine = _cosine(gamma, final, _after(schedule.warmup, fraction))
            adapted = cosine * _restlessness(schedule, validation_losses)
            return min(max(adapted, final), ADAPTIVE_MOST * gamma)
        case HpcmGamma():
            return gamma * _between_corners(fraction)
        case HpcmStepGamma():
            halved = STEP_FACTOR ** bisect_right(HPCM_STEPS, fraction)
            return gamma * max(halved, HPCM_STEP_FLOOR)


def plan_gamma(gamma: float, schedule: GammaSchedule, epochs: int) -> GammaSchedule:
    """Return the schedule with all boundaries as fractions of a run of `epochs` epochs.

    Raises ConfigError for boundaries beyond the run, and for a final gamma above the first one.
    """
    final = getattr(schedule, "final", None)
    if final is not None and final > gamma:
        raise ConfigError(
            f"balance.schedule.final = {final:g} with balance.gamma = {gamma:g}",
            expected=f"a final gamma of at most {gamma:g}, since the schedule {schedule.type} "
            "lowers gamma",
            remedy=f"Write balance.schedule.final={gamma / 5:g}, or balance.schedule.type=fixed.",
        )
    planned = {
        key: _in_fractions(key, value, epochs)
        for key in ("warmup", "milestones")
        if (value := getattr(schedule, key, None))
    }
    return schedule.model_copy(update=planned)


def _in_fractions(
    key: str, boundaries: Boundary | tuple[Boundary, ...], epochs: int
) -> float | tuple[float, ...]:
    """Return one boundary or several as fractions of the run."""
    if not isinstance(boundaries, tuple):
        (fraction,) = _fractions(key, (boundaries,), epochs)
        return fraction
    return _fractions(key, boundaries, epochs)


def _fractions(key: str, boundaries: Sequence[Boundary], epochs: int) -> tuple[float, ...]:
    if isinstance(boundaries[0], float):
        return tuple(map(float, boundaries))
    if boundaries[-1] >= epochs:
        shown = ", ".join(map(str, boundaries))
        raise ConfigError(
            f"balance.schedule.{key} = {shown} (epochs) with training.epochs = {epochs}",
            expected=f"epochs below {epochs}: nothing is trained from epoch {boundaries[-1]} on",
            remedy=_remedy(key, boundaries),
        )
    return tuple(epoch / epochs for epoch in boundaries)


def _remedy(key: str, boundaries: Sequence[Boundary]) -> str:
    if key == "warmup":
        return "Write a fraction of the run: balance.schedule.warmup=0.05."
    count = len(boundaries)
    spread = ",".join(f"{place / (count + 1):.4g}" for place in range(1, count + 1))
    return f"Write fractions of the run: balance.schedule.milestones=[{spread}]."


def _final(final: float | None, gamma: float) -> float:
    """Return the final gamma; the default is never above gamma, which a search may set low."""
    return min(FINAL, gamma) if final is None else final


def _after(warmup: float, fraction: float) -> float:
    """Return how much of what follows the warm-up is done, from 0 to 1."""
    return max(0.0, (fraction - warmup) / (1.0 - warmup))


def _cosine(first: float, final: float, done: float) -> float:
    return final + 0.5 * (first - final) * (1.0 + math.cos(math.pi * done))


def _restlessness(schedule: AdaptiveGamma, losses: Sequence[float]) -> float:
    """Return the factor that the variation of the last validation losses asks for."""
    recent = losses[-schedule.window :]
    if len(recent) < schedule.window or not all(map(math.isfinite, recent)):
        return 1.0
    spread, mean = pstdev(recent), abs(fmean(recent))
    if spread < schedule.threshold * mean or spread == 0.0:
        return CALM
    return RESTLESS if spread > RESTLESS_THRESHOLDS * schedule.threshold * mean else 1.0


def _between_corners(fraction: float) -> float:
    for (left, low), (right, high) in pairwise(HPCM):
        if fraction <= right:
            return low + (high - low) * (fraction - left) / (right - left)
    return HPCM[-1][1]
