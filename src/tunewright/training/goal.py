"""The score of a run: its goal among the measured metrics."""

import math
from collections.abc import Mapping

from tunewright.errors import ConfigError, Diverged, did_you_mean


def score_of(metrics: Mapping[str, float], metric: str, *, when: str) -> float:
    """Return the value of the goal `metric`.

    when: for the message, such as "after epoch 3". Raises ConfigError if it was not measured, and
    Diverged if it is not a finite number.
    """
    if metric not in metrics:
        measured = [name for name in metrics if not name.startswith("train_")]
        raise ConfigError(
            f"the goal {metric} was not measured {when}",
            expected=f"one of {', '.join(measured) or 'no metrics at all'}",
            remedy=did_you_mean(metric, measured) or "Set goal to one of them.",
        )
    if not math.isfinite(metrics[metric]):
        raise Diverged(f"{metric} is {metrics[metric]} {when}")
    return metrics[metric]
