"""Findings on learning curves: winners that were pruned, and over-fitting."""

import math
import shlex
from collections.abc import Sequence

import numpy as np

from tunewright.analysis.findings.changes import continue_study
from tunewright.analysis.findings.evidence import Evidence
from tunewright.analysis.findings.finding import Finding
from tunewright.analysis.findings.significance import Floats, p_text, upper_tail
from tunewright.analysis.findings.wording import figure, percent, trials
from tunewright.analysis.score_intervals import wilson
from tunewright.runs.record import Trial

DRAWS = 300
"""Bootstrap draws."""
KILLED = 0.3
"""Lower bound of the share of winners that were pruned from which pruning is too aggressive."""
AUDITED = 5
"""Trials at least that were to be pruned and ran on, of which the share of winners is told."""
POINTS = 6
"""Points of a curve at least whose end is looked at."""
MOST = 500
"""Curves that are looked at, about; more of them change no conclusion."""
DECLINE = 0.05
"""Share of a trial's gain that is lost again from which it over-fits."""
GAP = 0.15
"""Difference of a training and a validation share from which it over-fits."""


def find_pruned_winners(found: Evidence) -> list[Finding]:
    """Return whether trials were pruned that would have been among the best tenth.

    From trials that ran on to audit the pruner, where there are enough; else from curves.
    """
    audited = [t for t in found.done if t.audited is not None]
    if len(audited) >= AUDITED:
        return [_audit(found, audited)]
    pruned = [t for t in found.record.of_state("pruned", "paused") if t.curve]
    left = any(t.rung for t in pruned)
    done = [t for t in found.done if len(t.curve) > 1]
    if len(pruned) < 5 or len(done) < 8:
        return []
    winners = max(1, math.ceil(0.1 * (len(done) + len(pruned))))
    finals = np.array([found.better(t.score) for t in done if t.score is not None])
    steps: dict[int, list[float]] = {}
    for trial in pruned:
        last = max(trial.curve)
        steps.setdefault(last, []).append(_best_until(found, trial, last))
    shares = _killed_shares(found, done, finals, steps, winners)
    if shares is None:
        return []
    low, middle, high = (float(q) for q in np.quantile(shares, [0.05, 0.5, 0.95]))
    if low < KILLED:
        return []
    first = min(steps)
    what = "the first rung is too early" if left else "pruning is too aggressive"
    became = "left at a rung" if left else "stopped"
    return [
        Finding(
            "pruning",
            f"{what}: about {percent(middle)} of the best trials were {became}",
            f"{trials(len(pruned))} were {'paused' if left else 'pruned'}, "
            f"{len(steps.get(first, []))} of them after {first} epochs; what "
            f"{trials(len(done))} that ran on gained from the same epoch says how these would have "
            f"ended, and which of the best {winners} they would have been.",
            f"{percent(low)} to {percent(high)} of the best tenth",
            "90 % interval, bootstrap of the curves of finished trials",
            _later_rung(found, first) if left else _milder(found, first),
            0.75,
        )
    ]


def _audit(found: Evidence, audited: Sequence[Trial]) -> Finding:
    """Return the share of winners that pruning stops, from trials that were to be pruned.

    They are a random part of those, so that their share of good ones is that of all.
    """
    pruned = len(found.record.of_state("pruned")) + len(audited)
    kept = [t for t in found.done if t.audited is None]
    winners = max(1, math.ceil(0.1 * (pruned + len(kept))))
    weight = pruned / len(audited)
    ranked = [(found.better(t.score), 1.0) for t in kept if t.score is not None]
    ranked += [(found.better(t.score), weight) for t in audited if t.score is not None]
    limit, above = math.inf, 0.0
    for score, mass in sorted(ranked, reverse=True):
        if above >= winners:
            break
        limit, above = score, above + mass
    stopped = sum(found.better(t.score) >= limit for t in audited if t.score is not None)
    low, high = (
        min(1.0, pruned * end / max(above, winners)) for end in wilson(stopped, len(audited))
    )
    middle = min(1.0, stopped * weight / max(above, winners))
    bad = low >= KILLED
    first = min((t.audited for t in audited if t.audited is not None), default=1)
    return Finding(
        "pruning" if bad else "pruning_audit",
        f"pruning is too aggressive: it stops about {percent(middle)} of the best trials"
        if bad
        else f"the pruner stops at most {percent(high)} of the best trials",
        f"{trials(len(audited))} of {pruned} that were to be pruned ran on; {stopped} of them "
        f"ended among the best tenth of all that were begun.",
        f"{percent(low)} to {percent(high)} of the best tenth",
        "95 % interval, a random sample of pruned trials",
        _milder(found, first) if bad else _finer_audit(found),
        0.8 if bad else 0.25,
        trials=tuple(t.number for t in audited),
    )


def _finer_audit(found: Evidence) -> str:
    """Return how to narrow the interval of an audit."""
    if found.context.needs_python:
        return "audit_pruning: a larger share narrows the interval"
    return continue_study(found.context, "study.audit_pruning=0.3")


def _best_until(found: Evidence, trial: Trial, step: int) -> float:
    """Return the best value of a curve up to a step, the more the better; NaN where it has none."""
    values = [found.better(value) for at, value in trial.curve.items() if at <= step]
    return max(values, default=math.nan)


def _killed_shares(
    found: Evidence,
    done: Sequence[Trial],
    finals: Floats,
    steps: dict[int, list[float]],
    winners: int,
) -> Floats | None:
    """Return [draws] the share of the best trials that were pruned; None where curves are short.

    The end of a pruned trial is predicted from its value by a line through those of finished
    trials, which is sound although only good ones went on: they were selected by that value.
    """
    rng = np.random.default_rng(0)
    count = len(done)
    predicted: list[Floats] = []  # [draws, pruned] of each step
    rows = rng.integers(0, count, (DRAWS, count))
    for step, values in steps.items():
        early = np.array([_best_until(found, trial, step) for trial in done])
        if not np.isfinite(early).all() or not np.isfinite(values).all():
            continue
        x, y = early[rows], finals[rows]
        x_mean, y_mean = x.mean(axis=1), y.mean(axis=1)
        spread = ((x - x_mean[:, None]) ** 2).sum(axis=1)
        slope = np.where(
            spread > 0,
            ((x - x_mean[:, None]) * (y - y_mean[:, None])).sum(axis=1)
            / np.where(spread > 0, spread, 1.0),
            0.0,
        )
        rest = y - y_mean[:, None] - slope[:, None] * (x - x_mean[:, None])
        own = np.array(values)
        middle = y_mean[:, None] + slope[:, None] * (own[None, :] - x_mean[:, None])
        drawn = rest[np.arange(DRAWS)[:, None], rng.integers(0, count, (DRAWS, len(own)))]
        predicted.append(np.maximum(middle + drawn * math.sqrt(count / (count - 2)), own))
    if not predicted:
        return None
    ends = np.concatenate(predicted, axis=1)
    alls = np.concatenate([ends, np.repeat(finals[None, :], DRAWS, axis=0)], axis=1)
    limit = np.sort(alls, axis=1)[:, -winners][:, None]
    shares: Floats = (ends >= limit).sum(axis=1) / winners
    return shares


def _later_rung(found: Evidence, first: int) -> str:
    if found.context.recipe == "function":
        return f'the same call with "study.sampler.first_rung={2 * first}"'
    return continue_study(found.context, f"study.sampler.first_rung={2 * first}")


def _milder(found: Evidence, first: int) -> str:
    kind = found.context.pruner.get("type")
    if found.context.needs_python:
        return f"pruner = optuna.pruners.PatientPruner(pruner, patience={2 * first})"
    if kind in ("asha", "hyperband"):
        last = max((max(t.curve) for t in found.done if t.curve), default=0)
        if 2 * first < last:
            return continue_study(found.context, f"study.pruner.min_resource={2 * first}")
    if kind in ("median", "percentile"):
        return continue_study(found.context, f"study.pruner.warmup_steps={2 * first}")
    return continue_study(found.context, "study.pruner.type=none")


def find_overfitting(found: Evidence) -> list[Finding]:
    """Return whether trials get worse after their best epoch, or fit the training set alone."""
    full = [t for t in found.done if len(t.curve) >= POINTS]
    longest = max((max(t.curve) for t in full), default=0)
    # One that patience ended looks worse at its end by construction.
    full = [t for t in full if max(t.curve) == longest]
    full = full[:: max(1, len(full) // MOST)]
    falls, peaks = [], []
    for trial in full:
        values = np.array([found.better(v) for v in trial.curve.values()])
        epochs = np.array(list(trial.curve), dtype=np.float64)
        gain = float(values.max() - values[0])
        tail = max(3, len(values) // 3)
        if gain <= 0:
            continue
        slope = _slope(epochs[-tail:], values[-tail:])
        falls.append(-slope * float(epochs[-1] - epochs[-tail]) / gain)
        peaks.append(epochs[int(np.argmax(values))])
    gap = _training_gap(found)
    if len(falls) >= 5:
        fall, error = float(np.mean(falls)), float(np.std(falls, ddof=1)) / math.sqrt(len(falls))
        statistic = fall / error if error > 0 else math.inf * np.sign(fall)
        chance = upper_tail(float(statistic), len(falls) - 1) if error > 0 else float(fall <= 0)
        if chance < 0.01 and fall >= DECLINE:
            peak = int(np.median(peaks))
            return [_overfits(found, len(falls), fall, error, chance, peak, gap)]
    return [_gap_finding(found, *gap)] if gap is not None else []


def _slope(epochs: Floats, values: Floats) -> float:
    steps = epochs - epochs.mean()
    return float(steps @ values / (steps @ steps))


def _overfits(
    found: Evidence,
    count: int,
    fall: float,
    error: float,
    chance: float,
    peak: int,
    gap: tuple[str, float, int] | None,
) -> Finding:
    beside = "" if gap is None else f" {gap[0]} is {figure(gap[1], 2)} above it in training."
    return Finding(
        "overfitting",
        f"trials over-fit: {found.record.goal} gets worse again after about epoch {peak}",
        f"in the last third of {trials(count)} that ran to their end, {percent(fall)} of what was "
        f"gained before is lost again, ± {percent(1.96 * error)}.{beside}",
        f"{percent(fall)} of the gain",
        f"{p_text(chance)}, t test over trials",
        _regularise(found, peak),
        0.65,
    )


def _training_gap(found: Evidence) -> tuple[str, float, int] | None:
    """Return a share that is far better in training, the difference, and the trials."""
    ranked = found.record.rank_trials()[: max(5, len(found.done) // 4)]
    for metric in dict.fromkeys(m for t in ranked for m in t.metrics if m.startswith("train_")):
        name = metric.removeprefix("train_")
        if "loss" in name or "error" in name:
            continue  # of the loss that is trained with, which another one validates
        gaps = []
        for trial in ranked:
            valid = trial.metrics.get(f"val_{name}")
            if found.record.goal in (f"val_{name}", name):
                valid = trial.score
            trained = trial.metrics.get(metric)
            if valid is not None and trained is not None and 0 <= min(valid, trained) <= 1:
                gaps.append(trained - valid)
        if len(gaps) >= 5 and float(np.median(gaps)) >= GAP and float(np.quantile(gaps, 0.25)) > 0:
            return name, float(np.median(gaps)), len(gaps)
    return None


def _gap_finding(found: Evidence, name: str, gap: float, count: int) -> Finding:
    return Finding(
        "overfitting",
        f"trials over-fit: {name} is {figure(gap, 2)} better in training than in validation",
        f"in the median of the {count} best trials.",
        f"a difference of {figure(gap, 2)}",
        "three of four of them have a difference to the same side",
        _regularise(found, None),
        0.55,
    )


def _regularise(found: Evidence, peak: int | None) -> str:
    context = found.context
    if context.needs_python:
        return (
            f"epochs = {peak}  # or more dropout, weight decay or augmentation"
            if peak
            else "more dropout, weight decay or augmentation"
        )
    file = shlex.quote(f"{context.study}/best_config.yaml")
    if peak:
        return f"tunewright train {file} training.patience={max(2, peak // 4)}"
    decays = context.accepts("optim.weight_decay", 0.05)
    word = "optim.weight_decay=0.05" if decays else "training.patience=3"
    return f"tunewright train {file} {word}"
