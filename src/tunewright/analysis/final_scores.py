"""What the curves of pruned trials predict for their final scores.

Finished trials are those that the pruner let through, so a statistic of them alone is one of the
survivors. A pruned trial counts with the score that trials with a like value at the same step went
on to reach.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tunewright.analysis.findings.significance import Floats, Mask
from tunewright.runs.record import StudyRecord, Trial

FEWEST = 5
"""Trials that went on from a step, below which nothing is predicted from it."""
FEWEST_AT_RUNGS = 3
"""The same in a search by curves, which trains so few to their end; ranks are no worse for it."""
PRIOR = 5.0
"""Trials that the usual slope counts as."""
LOWEST = 0.1
"""Quantile of the trials that went on, below which a value lies outside of what they show."""
HELD_OUT = 0.25
"""Share of the trials that went on, the lowest ones, on which two extrapolations are compared."""
ENOUGH_TO_HOLD_OUT = 12
"""Trials that went on, below which both extrapolations count alike."""
OUTLIER = 1.5
"""Robust standard deviations from which a trial counts less. Source: Huber 1964."""
AWFUL = 10.0
"""Robust standard deviations at which a value is cut: one diverged trial tells nothing of size."""


class FinalScore(NamedTuple):
    """A predicted final score.

    value: in the unit of the score. error: its standard error. step: where the curve ends. trials:
    how many that went on from there it was learned from.
    """

    value: float
    error: float
    step: int
    trials: int


def predict_final_scores(
    record: StudyRecord, reached: Mapping[int, float] | None = None
) -> dict[int, FinalScore]:
    """Return the predicted final score of each pruned or paused trial with a curve, by its number.

    reached: another figure to predict, by the number of each trial that finished; None for the
    score of the first goal, whose curve is stored. A trial is left out where fewer than `FEWEST`
    trials went on from the step at which it was pruned, `FEWEST_AT_RUNGS` in a search by curves,
    and NaN never enters.

    The steps at which trials were pruned are taken from the last to the first. At each, the final
    figures of all trials that went on, those pruned later with their own predictions, are regressed
    on their values at that step: with values that are missing from some step on, the trials that
    finished alone would be a selection (Rubin 1987, section 5.4, monotone missing data). Two
    rules apply below the values seen: the line goes on; or a curve that has not left its start
    stays there. They are weighed by how well they predict the lowest quarter from the rest.
    """
    sign = record.goals[0].sign
    fewest = FEWEST_AT_RUNGS if any(trial.rung for trial in record.trials) else FEWEST
    own = reached is None
    if reached is None:
        reached = {t.number: t.score for t in record.of_state("done") if t.score is not None}
    stopped_early = ("pruned", "paused")
    trials = [t for t in record.trials if t.curve]
    trials = [t for t in trials if t.number in reached or t.state in stopped_early]
    ends = np.array([np.inf if t.number in reached else max(t.curve) for t in trials])
    stops = sorted({int(end) for end in ends if np.isfinite(end)})
    if not stops:
        return {}
    scale = sign if own else 1.0
    final = np.array([scale * reached.get(t.number, np.nan) for t in trials])
    values = sign * _values_at(trials, stops)
    start = float(np.quantile([sign * t.curve[min(t.curve)] for t in trials], LOWEST))
    error = np.zeros(len(trials))
    predicted: dict[int, FinalScore] = {}
    for place in reversed(range(len(stops))):
        at = values[:, place]
        seen = np.isfinite(at)
        went_on = (ends > stops[place]) & np.isfinite(final) & seen
        stopped = np.flatnonzero((ends == stops[place]) & seen)
        if (count := int(went_on.sum())) < fewest:
            continue
        step = _Step(at[went_on], final[went_on], start if own else None)
        final[stopped], error[stopped] = step.predict(at[stopped])
        # Predictions that this one is learned from bring their own errors along.
        error[stopped] = np.sqrt(error[stopped] ** 2 + np.mean(error[went_on] ** 2))
        for index in stopped:
            predicted[trials[index].number] = FinalScore(
                float(scale * final[index]), float(error[index]), stops[place], count
            )
    return predicted


def _values_at(trials: Sequence[Trial], steps: Sequence[int]) -> Floats:
    """Return the last value of each curve up to each step [trials, steps]; NaN before its first."""
    found = np.full((len(trials), len(steps)), np.nan)
    for row, trial in enumerate(trials):
        known = np.fromiter(trial.curve, dtype=np.int64, count=len(trial.curve))
        values = np.fromiter(trial.curve.values(), dtype=np.float64, count=len(trial.curve))
        order = np.argsort(known, kind="stable")
        places = np.searchsorted(known[order], steps, side="right") - 1
        there = places >= 0
        found[row, there] = values[order][places[there]]
    return found


class _Step:
    """The final figures of trials that went on from a step, given their values there.

    at, final: [trials], the more the better. start: the value of a curve that has learned nothing;
    None where the curve is of another figure.
    """

    def __init__(self, at: Floats, final: Floats, start: float | None) -> None:
        self.line = _Line(at, final, start)
        self.start = start
        self.lowest = float(np.quantile(at, HELD_OUT))
        self.weight, self.held_out = 0.5, 0.0
        if len(at) < ENOUGH_TO_HOLD_OUT:
            return
        order = np.argsort(at, kind="stable")
        low, rest = np.split(order, [max(3, int(HELD_OUT * len(order)))])
        two = _two_rules(_Line(at[rest], final[rest], start), start, at[low])
        off = [float(np.median(np.abs(rule - final[low]))) ** 2 for rule in two]
        if sum(off) > 0:
            self.weight = off[0] / sum(off)
        mixed = (1 - self.weight) * two[0] + self.weight * two[1]
        self.held_out = float(np.mean((mixed - final[low]) ** 2))

    def predict(self, at: Floats) -> tuple[Floats, Floats]:
        """Return predictions [trials] from values at the step, and their standard errors."""
        line, stays = _two_rules(self.line, self.start, at)
        value = (1 - self.weight) * line + self.weight * stays
        # Low values were extrapolated when they were held out; that error is theirs as well.
        noise = np.where(
            at < self.lowest, max(self.line.variance, self.held_out), self.line.variance
        )
        error = noise * self.line.leverage(at)
        error = error + self.weight * (1 - self.weight) * (line - stays) ** 2
        return value, np.sqrt(error)


class _Line:
    """A robust line of final figures on values, its slope drawn towards the usual one.

    Usual is that all curves have come the same share of their way; for another figure, that the
    curve says nothing.
    """

    def __init__(self, at: Floats, final: Floats, start: float | None) -> None:
        at, final = cut_outliers(at), cut_outliers(final)
        usual = 0.0
        if start is not None:
            way = float(at.mean()) - start
            steep = way > 0.5 * float(at.std()) and way > 0
            usual = float(np.clip((final.mean() - start) / way, 0.2, 5.0)) if steep else 1.0
        weights = np.ones(len(at))
        for _ in range(5):
            total = weights.sum()
            self.centre = float(weights @ at / total)
            self.level = float(weights @ final / total)
            self.spread = float(weights @ (at - self.centre) ** 2)
            prior = PRIOR * self.spread / total
            both = float(weights @ ((at - self.centre) * (final - self.level)))
            self.slope = (both + prior * usual) / (self.spread + prior) if self.spread > 0 else 0.0
            if start is not None:
                self.slope = max(0.0, self.slope)
            rest = final - self(at)
            usual_size = 1.4826 * float(np.median(np.abs(rest)))
            if usual_size <= 0:
                break
            weights = np.minimum(1.0, OUTLIER * usual_size / np.maximum(np.abs(rest), 1e-300))
        self.count = len(at)
        self.variance = float(rest @ rest) / max(1, len(at) - 2)
        self.lowest = float(np.quantile(at, LOWEST))

    def __call__(self, at: Floats | float) -> Floats:
        """Return the line at values."""
        found: Floats = np.asarray(self.level + self.slope * (at - self.centre))
        return found

    def leverage(self, at: Floats) -> Floats:
        """Return by how much the variance of a prediction exceeds that of the residuals."""
        away = (at - self.centre) ** 2 / self.spread if self.spread > 0 else 0.0 * at
        found: Floats = 1.0 + 1.0 / self.count + away
        return found


def cut_outliers(values: Floats) -> Floats:
    """Return values [trials], those that are far from all others moved to `AWFUL`."""
    middle = float(np.median(values))
    size = 1.4826 * float(np.median(np.abs(values - middle)))
    return np.clip(values, middle - AWFUL * size, middle + AWFUL * size) if size > 0 else values


def _two_rules(line: _Line, start: float | None, at: Floats) -> tuple[Floats, Floats]:
    """Return what a line predicts [trials], and the rule that a curve at its start stays there."""
    goes_on = line(at)
    if start is None or line.lowest <= start:
        return goes_on, goes_on
    share = (at - start) / (line.lowest - start)
    between = np.where(at > start, start + share * (line(line.lowest) - start), at)
    outside: Mask = at < line.lowest
    return goes_on, np.where(outside, np.minimum(goes_on, between), goes_on)
