"""Asynchronous successive halving as a pure function of the curves seen so far.

Nothing is stored: a resumed study decides as it would have without the interruption.
Source: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2,
with stopping in place of promotion.
"""

from collections.abc import Mapping
from typing import Literal

from tunewright.config.schema import Asha, NoPruner
from tunewright.errors import ConfigError


def rungs(pruner: Asha | NoPruner, last_step: int) -> list[int]:
    """The epochs after which a trial may be stopped; never the last one.

    Raises ConfigError when the pruner could never act.
    """
    if isinstance(pruner, NoPruner):
        return []
    factor = pruner.reduction_factor
    rung = pruner.min_resource * factor**pruner.min_early_stopping_rate
    found = []
    while rung < last_step:
        found.append(rung)
        rung *= factor
    if not found:
        raise ConfigError(
            f"the pruner asha would never prune: its first rung is after {rung} epochs, and the "
            f"last epoch is {last_step}",
            expected="a rung before the last epoch",
            remedy="Use study.pruner.min_resource=2 study.pruner.reduction_factor=2 "
            "study.pruner.min_early_stopping_rate=0, more epochs, or study.pruner.type=none.",
        )
    return found


def keeps(
    number: int,
    rung: int,
    curves: Mapping[int, Mapping[int, float]],
    *,
    reduction_factor: int,
    direction: Literal["max", "min"],
) -> bool:
    """Whether trial `number` is among the best `1 / reduction_factor` that reached `rung`.

    A trial's value at a rung is its best one so far. While fewer than `reduction_factor`
    trials have been there, only the best of them goes on.
    """
    sign = 1.0 if direction == "max" else -1.0
    reached = {
        other: max(sign * value for step, value in curve.items() if step <= rung)
        for other, curve in curves.items()
        if any(step >= rung for step in curve) and any(step <= rung for step in curve)
    }
    if number not in reached:
        return True
    promoted = max(1, len(reached) // reduction_factor)
    better = sum(value > reached[number] for other, value in reached.items() if other != number)
    return better < promoted
