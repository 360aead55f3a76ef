"""From which step on the scores of running trials rank them as their final scores will.

The trials that finish are those whose early scores were good, among which an early score ranks
worse than among all. What the others show at the step corrects for that.
"""

import math
from collections.abc import Collection, Mapping

import numpy as np

from tunewright.analysis.findings.significance import Floats, normal_scores

RANKS = 0.5
"""Rank correlation with the final score from which a step is said to rank trials."""
PRIOR = 8.0
"""Finished trials that the assumption counts as."""
FEWEST = 4
"""Finished trials below which the assumption stands alone."""
LARGEST_SHARE = 0.25
"""Of a training; a first rung behind it would save little."""

Curves = Mapping[int, Mapping[int, float]]


def first_rung(curves: Curves, finished: Collection[int], *, last: int, fallback: int) -> int:
    """Return the smallest step at which the scores rank the trials; at least 1.

    curves: the scores of each trial by step, paused and stopped ones included. finished: the trials
    that were trained to their end. last: the last step of a training. fallback: the step that is
    assumed to rank before anything is known, and which the data have to speak against.
    """
    steps = candidate_steps(last, fallback)
    found = rank_correlations(curves, finished, steps, fallback=fallback)
    return next((step for step in steps if found[step] >= RANKS), steps[-1])


def candidate_steps(last: int, fallback: int) -> tuple[int, ...]:
    """Return the steps that may be a first rung, rising: powers of two, those between, `fallback`.

    >>> candidate_steps(52, 3)
    (1, 2, 3, 4, 6, 8, 12)
    """
    most = max(fallback, int(LARGEST_SHARE * last))
    powers = [2**k for k in range(most.bit_length())]
    between = [3 * power // 2 for power in powers[1:]]
    return tuple(sorted(step for step in {*powers, *between, fallback} if step <= most))


def rank_correlations(
    curves: Curves, finished: Collection[int], steps: Collection[int], *, fallback: int
) -> dict[int, float]:
    """Return the estimated rank correlation of the scores at each step with the final scores.

    It is that of normal scores, over all trials that reached the step: the
    correlation among those that finished, corrected for their selection by the score at the step
    (Thorndike 1949, case 2), and drawn towards an assumption by Fisher's transform. Assumed is
    `RANKS` at `fallback`, less before it and more after it.
    """
    ends = {n: curves[n][max(curves[n])] for n in finished if curves.get(n)}
    found = {}
    for step in steps:
        there = {n: c[step] for n, c in curves.items() if step in c and math.isfinite(c[step])}
        both = [n for n in there if n in ends and math.isfinite(ends[n]) and max(curves[n]) > step]
        assumed = RANKS ** (fallback / step)
        if len(both) < FEWEST:
            found[step] = assumed
            continue
        place = dict(zip(there, normal_scores(np.array(list(there.values()))), strict=True))
        early = np.array([place[n] for n in both])
        final = normal_scores(np.array([ends[n] for n in both]))
        seen = _correlation(early, final)
        wider = float(np.std(list(place.values()))) / max(float(early.std()), 1e-9)
        whole = seen * wider / math.sqrt(1 + seen**2 * (wider**2 - 1))
        weight = len(both) / (len(both) + PRIOR)
        shown = math.atanh(min(0.99, max(-0.99, whole)))
        found[step] = math.tanh(weight * shown + (1 - weight) * math.atanh(assumed))
    return found


def _correlation(one: Floats, other: Floats) -> float:
    """Return Pearson's correlation; 0 where one of them does not vary."""
    one, other = one - one.mean(), other - other.mean()
    size = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / size if size > 1e-12 else 0.0
