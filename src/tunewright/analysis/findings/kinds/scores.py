"""Findings on the scores of a study: alike, within the noise, too few, repeated; what is on top."""

import math
from collections import defaultdict
from collections.abc import Hashable
from statistics import median

import numpy as np

from tunewright.analysis.findings.changes import (
    more_trials,
    new_study,
    train_with_seeds,
)
from tunewright.analysis.findings.evidence import Evidence
from tunewright.analysis.findings.finding import Finding
from tunewright.analysis.findings.wording import figure, percent, trials
from tunewright.analysis.score_intervals import wilson
from tunewright.runs.record import Trial, is_same
from tunewright.spaces.domain import (
    Categorical,
    Float,
    grid_steps,
)

ALIKE = 0.8
"""Share of equal scores from which all trials count as alike."""
FLAT = 0.01
"""Spread of the middle 90 % of scores, relative to the score, below which they are alike."""
TIED = 0.42
"""Share of finished trials within the noise of the best from which the noise decides."""
PER_PARAMETER = 5
"""Trials for each parameter below which they are too few; half of the rule of ten.

Source: Loeppky, Sacks and Welch 2009."""
REPEATED = 0.1
"""Share of trials that repeat an earlier point from which it is a finding."""
FEWEST = 5
"""Finished trials below which their scores say nothing."""
SHUFFLES = 400
"""Permutations of a test."""


def find_alike(found: Evidence) -> list[Finding]:
    """Return whether the trials score alike, whatever their parameters."""
    scores = [trial.score for trial in found.done if trial.score is not None]
    if len(scores) < FEWEST:
        return []
    values, goal = np.array(scores), found.record.goal
    counts: dict[float, int] = defaultdict(int)
    for score in scores:
        counts[float(f"{score:.9g}")] += 1
    common, most = max(counts.items(), key=lambda item: item[1])
    low, high = np.quantile(values, [0.05, 0.95])
    middle = abs(float(np.median(values)))
    scale = min(middle, 1 - middle) if values.min() >= 0 and values.max() <= 1 else middle
    if most >= ALIKE * len(scores):
        title = f"{most} of {len(scores)} trials have the same {goal}, {figure(common)}"
        size = "no difference between them"
    elif len(scores) >= 2 * FEWEST and high - low < FLAT * scale:
        title = f"all trials have nearly the same {goal}"
        size = f"nine of ten lie between {figure(low, 5)} and {figure(high, 5)}"
    else:
        return []
    return [
        Finding(
            "alike",
            title,
            f"{trials(len(scores))} finished, from {figure(float(values.min()), 5)} to "
            f"{figure(float(values.max()), 5)}, with different parameters. Either the parameters "
            "are not read, or the training is too short or diverges to one constant answer.",
            size,
            "counted",
            _train_longer(found),
            0.9,
        )
    ]


def _train_longer(found: Evidence) -> str:
    context = found.context
    epochs = context.configuration.get("training.epochs")
    if context.needs_python or not isinstance(epochs, int):
        return more_trials(context, context.ran + 10)
    word = f"stages.explore.training.epochs={3 * epochs}"
    return new_study(context, found.record.name, "longer", word)


def find_noise(found: Evidence) -> list[Finding]:
    """Return whether the noise of one score is larger than the differences among the trials."""
    errors, source = standard_errors(found)
    rows = [
        (t, found.better(t.score), errors[t.number])
        for t in found.done
        if t.number in errors and t.score is not None
    ]
    if len(rows) < 2 * FEWEST:
        return []
    best, top, error = max(rows, key=lambda row: row[1])
    tied = [t for t, score, e in rows if top - score <= 1.96 * math.hypot(error, e)]
    low, high = wilson(len(tied) - 1, len(rows) - 1)
    if (len(tied) - 1) / (len(rows) - 1) < TIED or error <= 0:
        return []
    context = found.context
    change = train_with_seeds(context)
    if context.needs_python:
        change = f"study.enqueue_trial({dict(best.parameters)!r})  # again, with other seeds"
    return [
        Finding(
            "noise",
            f"{len(tied)} of {len(rows)} trials cannot be told from the best",
            f"trial {best.number} has {found.record.goal} {figure(best.score, 4)} with a standard "
            f"error of {figure(error, 2)} ({source}); the median of all trials is "
            f"{figure(median(found.better(s) for _, s, _ in rows), 4)}. More trials will find a "
            "luckier one, not a better one; a larger validation set or several seeds would tell.",
            f"{percent(low)} to {percent(high)} of such trials",
            "95 % interval of the share; each is tied at 95 %",
            change,
            0.6,
            trials=tuple(t.number for t in tied[:50]),
        )
    ]


def standard_errors(found: Evidence) -> tuple[dict[int, float], str]:
    """Return the standard error of each finished trial's score, and where it is from.

    From repeated points or seeds, pooled, where there are; else from the trial's own interval.
    """
    pooled, degrees = 0.0, 0
    for trial in found.done:
        scores = list(dict.fromkeys(trial.seeds.values()))
        if len(scores) > 1:
            pooled += float(np.var(scores)) * len(scores)
            degrees += len(scores) - 1
    if degrees >= FEWEST:
        deviation = math.sqrt(pooled / degrees)
        runs = {t.number: max(1, len(t.seeds)) for t in found.done}
        return {n: deviation / math.sqrt(k) for n, k in runs.items()}, "from several seeds"
    groups: dict[Hashable, list[float]] = defaultdict(list)
    for trial, point in zip(found.table.trials, found.points, strict=True):
        if trial.state == "done" and trial.score is not None and not trial.seeds:
            groups[point].append(trial.score)
    for scores in groups.values():
        if len(set(scores)) > 1:
            pooled += float(np.var(scores)) * len(scores)
            degrees += len(scores) - 1
    if degrees >= FEWEST:
        deviation = math.sqrt(pooled / degrees)
        return {t.number: deviation for t in found.done}, "from repeated points"
    within = {t.number: (t.interval[1] - t.interval[0]) / 3.92 for t in found.done if t.interval}
    return within, "from the interval over the validation set"


def find_too_few(found: Evidence) -> list[Finding]:
    """Return whether there are too few trials for the number of parameters."""
    ended = [t for t in found.record.trials if t.has_ended]
    running = len(ended) < len(found.record.trials)
    planned = found.context.total or 0
    if len(ended) < FEWEST or running or len(found.record.own) < planned:
        return []  # it is not at its end
    width = sum(len(t.parameters) for t in ended) / len(ended)
    points = _count_points(found)
    needed = min(PER_PARAMETER * width, 0.5 * points)
    if len(ended) >= needed or width == 0:
        return []
    total = math.ceil(min(2 * PER_PARAMETER * width, points) / 10) * 10
    return [
        Finding(
            "too_few",
            f"{trials(len(ended))} are few for {width:.3g} parameters",
            f"a trial has {width:.3g} parameters on average; ten trials for each is the usual size "
            "of a first exploration (Loeppky et al. 2009), and below half of it neither the "
            "importances nor the other findings say much.",
            f"{len(ended) / width:.2g} trials for each parameter, {2 * PER_PARAMETER} advised",
            "counted",
            more_trials(found.context, total),
            0.4,
        )
    ]


def _count_points(found: Evidence) -> float:
    """Return how many points a space without conditions has; infinity for continuous ones."""
    count = 1.0
    for column in found.table.columns.values():
        domain = column.domain
        if isinstance(domain, Categorical):
            count *= len(domain.choices)
        elif isinstance(domain, Float) and domain.step is None:
            return math.inf
        else:
            count *= grid_steps(domain) + 1
    return count


def find_repeats(found: Evidence) -> list[Finding]:
    """Return whether many trials repeat the point of an earlier one."""
    groups: dict[Hashable, list[Trial]] = defaultdict(list)
    for trial, point in zip(found.table.trials, found.points, strict=True):
        if trial.state in ("done", "pruned"):
            groups[point].append(trial)
    count = sum(map(len, groups.values()))
    again = count - len(groups)
    if again < 3 or again < REPEATED * count:
        return []
    pairs = [g for g in groups.values() if len({t.score for t in g if t.score is not None}) > 1]
    equal = [g for g in groups.values() if len(g) > 1 and g not in pairs]
    what = (
        "their scores are the same each time, so that they taught nothing"
        if len(equal) >= len(pairs)
        else "their scores differ, by the noise of one training"
    )
    change = "sampler = optuna.samplers.BruteForceSampler()  # tries each point once"
    if not found.context.needs_python:
        change = train_with_seeds(found.context)
    return [
        Finding(
            "repeats",
            f"{again} of {count} trials repeat an earlier point",
            f"{len(groups)} points in {trials(count)}; {what}. A sampler that has "
            "nothing new to suggest has finished; repeat a trial only with another seed.",
            f"{percent(again / count)} of the trials",
            "counted",
            change,
            0.3,
            trials=tuple(t.number for g in groups.values() for t in g[1:])[:50],
        )
    ]


def same_scores(one: Trial, other: Trial) -> bool:
    """Return whether two trials have the same result: score and curve, up to rounding."""
    if one.score is None or other.score is None or not is_same(one.score, other.score):
        return False
    shared = one.curve.keys() & other.curve.keys()
    return all(is_same(one.curve[step], other.curve[step]) for step in shared)
