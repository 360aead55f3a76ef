"""Interactions: what two parameters explain together beyond what each explains alone.

The best tenth of a hundred trials is too few to compare densities of two parameters at once, and a
forest's components of variance take minutes for all pairs. So the trials' values are modelled by a
slope and a curvature of each number and a level of each choice; a pair adds the products of its
slopes and levels. Source: Sudret 2008, variance components from expansions. Ranks would not do:
what is a sum in the values is none in their ranks.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from tunewright.analysis.final_scores import cut_outliers
from tunewright.analysis.findings.effects import orthonormal, terms_of
from tunewright.analysis.findings.significance import (
    Floats,
    holm,
    noncentrality_bound,
)
from tunewright.analysis.findings.trial_table import ParameterColumn
from tunewright.analysis.shares.importances import PairShare

PARAMETERS = 6
"""The most important parameters whose pairs are looked at."""
ALONE = 12
"""The most important parameters that are held constant."""
ROWS_PER_TERM = 3
"""Trials for each term of the model at least; parameters beyond are not held constant."""
MOST_ROWS = 2000
"""Trials that are modelled; more of them change no conclusion and take seconds."""
LEVELS = 4
"""Levels of a choice that enter products, the most frequent ones beyond the first."""


def pair_shares(
    columns: Mapping[str, ParameterColumn], losses: Floats, ranked: Sequence[str]
) -> list[PairShare]:
    """Return the interactions of the most important parameters, the strongest first.

    columns: of at most `MOST_ROWS` trials. losses: [trials], less is better. ranked: the
    parameters, the most important first. A pair is judged on the trials that have both, and left
    out where they are too few.
    """
    taken = {path: columns[path] for path in ranked[:ALONE] if path in columns}
    found = [
        pair
        for first, second in itertools.combinations(list(taken)[:PARAMETERS], 2)
        if (pair := _pair(taken, -losses, first, second)) is not None
    ]
    chances = holm([pair.chance for pair in found])
    corrected = [
        PairShare(p.first, p.second, p.share, p.low, p.high, chance, p.trials)
        for p, chance in zip(found, chances, strict=True)
    ]
    return sorted(corrected, key=lambda pair: -pair.share)


def _pair(
    columns: Mapping[str, ParameterColumn], response: Floats, first: str, second: str
) -> PairShare | None:
    both = np.flatnonzero(columns[first].present & columns[second].present)
    if len(both) < 2 * ROWS_PER_TERM:
        return None
    scores = cut_outliers(response[both])
    scores = scores - scores.mean()
    one, other = (terms_of(columns[path].take(both)) for path in (first, second))
    products = [
        a[:, None] * b[:, None]
        for a in _slopes(one, columns[first]).T
        for b in _slopes(other, columns[second]).T
    ]
    if not products:
        return None
    alone = [np.ones((len(both), 1)), one, other]
    room = len(both) // ROWS_PER_TERM - len(products) - sum(part.shape[1] for part in alone)
    if room < 0:
        return None
    for path, column in columns.items():
        terms = terms_of(column.take(both))
        if path not in (first, second) and terms.shape[1] <= room:
            alone.append(terms)
            room -= terms.shape[1]
    basis = orthonormal(np.concatenate(alone, axis=1))
    together = np.concatenate(products, axis=1)
    free = orthonormal(together - basis @ (basis.T @ together))
    rest = scores - basis @ (basis.T @ scores)
    width, degrees = free.shape[1], len(both) - basis.shape[1] - free.shape[1]
    total = float(scores @ scores)
    if width == 0 or degrees < 8 or total <= 0:
        return None
    explained = float(((free.T @ rest) ** 2).sum())
    noise = max(float(rest @ rest) - explained, 1e-12) / degrees
    statistic = explained / width / noise
    low, high = (noncentrality_bound(statistic, width, degrees, c) for c in (0.975, 0.025))
    share = max(0.0, width * (statistic - 1.0))
    scale = noise / total
    from scipy.special import fdtrc

    chance = float(fdtrc(width, degrees, statistic))
    return PairShare(
        first,
        second,
        min(1.0, share * scale),
        min(1.0, low * scale, share * scale),
        min(1.0, max(high, share) * scale),
        chance,
        len(both),
    )


def _slopes(terms: Floats, column: ParameterColumn) -> Floats:
    """Return the terms [trials, terms] of a parameter that enter products."""
    return terms[:, :LEVELS] if column.is_choice else terms[:, :1]
