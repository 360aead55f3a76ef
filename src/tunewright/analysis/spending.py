"""What a search spent, and what each gain cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunewright.analysis.history import best_by_hours
from tunewright.runs.record import StudyRecord

ENERGY = {
    "energy_kwh": 1.0,
    "energy_wh": 1e-3,
    "energy_joules": 1.0 / 3.6e6,
    "energy_j": 1.0 / 3.6e6,
    "energy_consumed": 1.0,
}
"""Metrics of energy that scripts report, and kWh of a unit; the last one is CodeCarbon's name."""


@dataclass(frozen=True)
class GainCost:
    """A new best score: when it came, what it gained over the one before, and at what price.

    hours: since the first trial began. spent: hours since the gain before. rate: gain an hour of
    those; above 0 whatever the direction. gain, rate: None for the first score.
    """

    hours: float
    score: float
    spent: float
    gain: float | None = None
    rate: float | None = None


@dataclass(frozen=True)
class Spending:
    """Hours of a study's own trials together, and the gains. energy_kwh: where trials report it.

    last_gain: the share of the time that had passed at the last gain; None without times.
    """

    trial_hours: float
    energy_kwh: float | None
    gains: Sequence[GainCost]
    last_gain: float | None


def spending(record: StudyRecord) -> Spending:
    """Return what a study spent; hours of pruned and failed trials count as well."""
    hours = sum(trial.seconds or 0.0 for trial in record.own) / 3600.0
    gains: list[GainCost] = []
    before = 0.0
    score: float | None = None
    for at, reached in best_by_hours(record):
        spent = at - before
        gain: float | None = None if score is None else abs(reached - score)
        rate: float | None = None if gain is None or spent <= 0.0 else gain / spent
        gains.append(GainCost(at, reached, spent, gain, rate))
        before, score = at, reached
    ends = [t.ended_at for t in record.own if t.seconds and t.ended_at]
    starts = [t.started for t in record.own if t.started is not None and t.seconds]
    whole = (max(ends) - min(starts)) / 3600.0 if ends else 0.0
    share = gains[-1].hours / whole if gains and whole > 0.0 else None
    return Spending(hours, _energy(record), gains, share)


def _energy(record: StudyRecord) -> float | None:
    known = [
        trial.metrics[name] * unit
        for trial in record.own
        for name, unit in ENERGY.items()
        if name in trial.metrics
    ]
    return sum(known) if known else None
