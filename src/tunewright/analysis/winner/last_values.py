"""Compare the two best trials by the last values of their curves, where their scores are close."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from tunewright.runs.record import StudyRecord, Trial

LEAST, SHARE = 3, 0.1
"""Values at the end of a curve that are averaged: at least, and as a share of the curve."""


@dataclass(frozen=True)
class LastValues:
    """Two finished trials whose scores differ by less than their curves vary from step to step.

    trials: the better score first. means: of their last values. count: of these.
    """

    trials: tuple[Trial, Trial]
    means: tuple[float, float]
    count: int


def compare_last_values(record: StudyRecord) -> LastValues | None:
    """Return the two best finished trials where their scores cannot tell them apart, else None.

    They cannot where the scores differ by no more than the larger standard deviation of one value
    of their curves, from the differences of neighbours, of which a trend takes little away (von
    Neumann 1941).
    """
    ranked = [trial for trial in record.rank_trials() if trial.curve and not trial.imported_from]
    if len(record.goals) > 1 or len(ranked) < 2:
        return None
    first, second = ranked[:2]
    curves = [[curve for _, curve in sorted(trial.curve.items())] for trial in (first, second)]
    shortest = min(map(len, curves))
    if shortest <= LEAST or first.score is None or second.score is None:
        return None
    count = max(LEAST, round(SHARE * shortest))
    ends = [curve[-2 * count :] for curve in curves]
    if abs(first.score - second.score) > max(map(_deviation, ends)):
        return None
    means = [fmean(curve[-count:]) for curve in curves]
    return LastValues((first, second), (means[0], means[1]), count)


def _deviation(values: Sequence[float]) -> float:
    steps = [b - a for a, b in pairwise(values)]
    middle = fmean(steps)
    return math.sqrt(fmean([(step - middle) ** 2 for step in steps]) / 2)


def describe_last_values(found: LastValues, record: StudyRecord) -> str:
    """Return what the last values say, as a sentence."""
    (first, second), (one, other) = found.trials, found.means
    sign = 1 if record.direction == "max" else -1
    ahead = first if sign * (one - other) >= 0 else second
    return (
        f"trials {first.number} and {second.number} are a near-tie: {record.goal} "
        f"{first.score:.4g} and {second.score:.4g} differ by less than their curves vary; the mean "
        f"of the last {found.count} values is {one:.4g} and {other:.4g}, so that trial "
        f"{ahead.number} is ahead. study.replicate decides by new seeds"
    )
