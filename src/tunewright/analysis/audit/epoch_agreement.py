"""From which epoch on a training ranks configurations as its last epoch does."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunewright.analysis.audit.agreement import FEWEST, Agreement, measure_agreement
from tunewright.analysis.score_intervals import RESAMPLES

EPOCHS = 20
"""Epochs at which a curve is compared at most: all of a short one, else evenly on a log scale."""
MANY, FEW_RESAMPLES = 64, 200
"""Configurations from which on fewer resamples do: their intervals are narrow."""
GOOD_TAU = 0.8


@dataclass(frozen=True)
class EpochAgreement:
    """The agreement of the scores after `epoch` epochs with those at the end."""

    epoch: int
    agreement: Agreement


def measure_epochs(
    curves: Sequence[Mapping[int, float]], sign: float, *, epochs: int = EPOCHS
) -> list[EpochAgreement]:
    """Compare the best score up to each epoch with that of the whole curve.

    curves: score by epoch. sign: 1 where more is better, else -1. A run is judged by its best
    epoch, so a curve that ended early, as by patience, keeps its best score. Empty where fewer than
    `FEWEST` curves, or no more than one epoch, are known.
    """
    known = [curve for curve in map(_finite, curves) if curve]
    last = max((max(curve) for curve in known), default=0)
    chosen = _chosen_epochs(known, last, epochs)
    if len(known) < FEWEST or len(chosen) < 2:
        return []
    full = [max(sign * score for score in curve.values()) for curve in known]
    resamples = RESAMPLES if len(known) <= MANY else FEW_RESAMPLES
    found = []
    for epoch in chosen:
        so_far = [_best_until(curve, epoch, sign) for curve in known]
        agreement = measure_agreement(so_far, full, resamples=resamples)
        assert agreement is not None  # there are enough curves
        found.append(EpochAgreement(epoch, agreement))
    return found


def first_good_epoch(
    measured: Sequence[EpochAgreement], *, tau: float = GOOD_TAU
) -> EpochAgreement | None:
    """Return the first epoch from which on tau stays at least `tau`, None where only the last."""
    return _first_lasting(measured, lambda one: (one.tau.value or 0.0) >= tau)


def first_harmless_epoch(
    measured: Sequence[EpochAgreement], tolerance: float
) -> EpochAgreement | None:
    """Return the first epoch from which on the winner's regret stays within `tolerance`.

    None where that is only the last epoch.
    """
    return _first_lasting(measured, lambda one: (one.regret.value or 0.0) <= tolerance)


def _first_lasting(
    measured: Sequence[EpochAgreement], holds: Callable[[Agreement], bool]
) -> EpochAgreement | None:
    found = None
    for one in reversed(measured):
        if not holds(one.agreement):
            break
        found = one
    return None if found is None or found is measured[-1] else found


def _finite(curve: Mapping[int, float]) -> dict[int, float]:
    return {epoch: score for epoch, score in curve.items() if math.isfinite(score)}


def _best_until(curve: Mapping[int, float], epoch: int, sign: float) -> float:
    """Return the best score up to an epoch; the worst of all where it has not reported by then."""
    return max((sign * s for e, s in curve.items() if e <= epoch), default=-math.inf)


def _chosen_epochs(curves: Sequence[Mapping[int, float]], last: int, most: int) -> list[int]:
    """Return epochs at which some curve reports, the last one included."""
    if not last:
        return []
    reported = sorted({epoch for curve in curves for epoch in curve})
    if len(reported) <= most:
        return reported
    wanted = np.geomspace(max(1, reported[0]), last, most)
    return sorted({min(reported, key=lambda epoch: abs(epoch - one)) for one in wanted})
