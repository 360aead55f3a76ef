"""fANOVA by Optuna, with the spread of its trees.

Optuna takes no study in which a domain was changed, and grows trees to their last trial, whose
variances take a minute for 500 trials. Here a domain covers all of its versions, and trees are as
deep as they have to be.
"""

from collections.abc import Mapping, Sequence
from copy import copy

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from tunewright.analysis.findings.significance import Floats
from tunewright.search.study.importance.trials_view import TrialsView
from tunewright.spaces.domain import canonical

TREES = 64
DEPTH = 6
"""Depth of the trees: their 64 leaves hold two trials each in a usual study."""


def fanova_shares(
    trials: Sequence[FrozenTrial], losses: Mapping[int, float], paths: Sequence[str]
) -> tuple[dict[str, float], dict[str, Floats]]:
    """Return the share of the variance that each parameter explains by itself, and [trees] those.

    trials: all have the parameters. losses: by their numbers, less is better. A parameter that was
    a number in one trial and a choice in another is left out. Empty where the losses do not vary.
    Source: Hutter, Hoos and Leyton-Brown 2014.
    """
    covering = {path: _cover([t.distributions[path] for t in trials]) for path in paths}
    domains = {path: domain for path, domain in covering.items() if domain is not None}
    if not domains:
        return {}, {}
    narrowed = []
    for trial in trials:
        one = copy(trial)
        one.distributions = domains
        one.params = {path: trial.params[path] for path in domains}
        narrowed.append(one)
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, max_depth=DEPTH, seed=0)
    try:
        shares = evaluator.evaluate(
            TrialsView(narrowed), list(domains), target=lambda trial: losses[trial.number]
        )
    except RuntimeError:  # Optuna's, for trees without any variance
        return {}, {}
    return {path: float(share) for path, share in shares.items()}, _of_trees(evaluator, domains)


def _of_trees(
    evaluator: "optuna.importance.FanovaImportanceEvaluator",
    domains: Mapping[str, BaseDistribution],
) -> dict[str, Floats]:
    """Return [trees] the share of each parameter; each tree has seen its own resample of trials."""
    forest = evaluator._evaluator
    assert forest._trees is not None
    assert forest._variances is not None
    totals = np.array([tree.variance for tree in forest._trees])
    varies = totals > 0
    return {
        path: forest._variances[place][varies] / totals[varies]
        for place, path in enumerate(sorted(domains))  # the order of Optuna's columns
    }


def _cover(domains: Sequence[BaseDistribution]) -> BaseDistribution | None:
    """Return a domain that holds the values of all; None for numbers beside choices."""
    distinct = list({id(domain): domain for domain in domains}.values())
    if all(isinstance(domain, CategoricalDistribution) for domain in distinct):
        choices = {
            canonical(choice): choice
            for domain in distinct
            if isinstance(domain, CategoricalDistribution)
            for choice in domain.choices
        }
        return CategoricalDistribution(list(choices.values()))
    numbers = [d for d in distinct if isinstance(d, FloatDistribution | IntDistribution)]
    if len(numbers) < len(distinct):
        return None
    low, high = min(d.low for d in numbers), max(d.high for d in numbers)
    log = all(d.log for d in numbers)
    if all(isinstance(d, IntDistribution) for d in numbers):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(low, high, log=log)
