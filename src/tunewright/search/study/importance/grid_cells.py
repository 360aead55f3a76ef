"""Values of parameters on the grid of Optuna's PED-ANOVA."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from tunewright.analysis.shares.divergence import Cells, Regime

STEPS = 50
"""Cells of a range, unless it has fewer steps."""
FEWEST = 2
"""Trials with one and the same domain, below which they are left out."""


def regimes_of(path: str, trials: Sequence[FrozenTrial]) -> list[Regime]:
    """Return the trials that have a parameter by its domain; the ranges may have been changed."""
    places: dict[int, list[int]] = defaultdict(list)
    seen: dict[int, BaseDistribution] = {}  # trials share a few objects; hashing takes long
    for row, trial in enumerate(trials):
        if (domain := trial.distributions.get(path)) is not None:
            seen[id(domain)] = domain
            places[id(domain)].append(row)
    rows: dict[BaseDistribution, list[int]] = defaultdict(list)
    for key, domain in seen.items():
        rows[domain] += places[key]
    found = []
    for domain, of_domain in rows.items():
        if len(of_domain) >= FEWEST and not domain.single():
            cells, size = _cells(domain, [trials[row].params[path] for row in of_domain])
            is_choice = isinstance(domain, CategoricalDistribution)
            found.append(Regime(np.array(of_domain), cells, size, is_choice))
    return found


def _cells(domain: BaseDistribution, values: Sequence[Any]) -> tuple[Cells, int]:
    """Return the cell of each value, and how many there are."""
    if isinstance(domain, CategoricalDistribution):
        places = [int(domain.to_internal_repr(value)) for value in values]
        return np.array(places), len(domain.choices)
    assert isinstance(domain, FloatDistribution | IntDistribution)
    steps = STEPS
    if isinstance(domain, IntDistribution) and domain.log:
        steps = min(math.ceil(math.log(domain.high - domain.low + 1) / math.log(2)) + 1, steps)
    elif domain.step is not None:
        steps = min(round((domain.high - domain.low) / domain.step) + 1, steps)
    numbers, low, high = np.array(values, dtype=np.float64), domain.low, domain.high
    if domain.log:
        numbers, low, high = np.log(numbers), math.log(low), math.log(high)
    width = (high - low) / (steps - 1)
    cells = np.ceil((numbers - low) / width - 0.5).astype(np.int64)
    return np.clip(cells, 0, steps - 1), steps
