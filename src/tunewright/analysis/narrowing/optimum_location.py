"""Where the best point of a space may lie, by a Gaussian process over the trials."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tunewright.analysis.findings.significance import Floats, Mask
from tunewright.analysis.findings.trial_table import (
    Codes,
    ParameterColumn,
    TrialTable,
    order_ended,
    tabulate,
)
from tunewright.analysis.narrowing.gaussian_process import GaussianProcess, fit
from tunewright.runs.record import StudyRecord, Trial
from tunewright.spaces.domain import Categorical, nearest
from tunewright.spaces.sample import draw
from tunewright.spaces.space import Space

MOST_ROWS = 400
"""Trials that the process is fitted to at most: the best, and an even share of the others."""
MOST_DIFFERENCES = 2e7
"""Differences between pairs of trials, of all parameters, that are kept: 160 MB."""
SPREAD_POINTS = 700
"""Points drawn from the whole space at which the process is looked at."""
NEAR_POINTS = 500
"""Points near the best trials at which it is looked at."""
FUNCTIONS = 400
"""Functions that are drawn from the process."""
MOST_PRUNED_ABOVE = 0.25
"""Share of the finished trials that count as worse than a pruned one."""


@dataclass(frozen=True)
class OptimumLocation:
    """Draws of where the best point lies, with the trials that they come from.

    columns: by path, over `[rows]` trials and then `[points]` candidates. quality: [rows] of the
    trials, the larger the better. trials: [rows]. best: [functions, points] values of each drawn
    function. process: over `points` [rows + candidates, dimensions].
    """

    columns: Mapping[str, ParameterColumn]
    quality: Floats
    trials: Sequence[Trial]
    functions: Floats
    points: Floats
    process: GaussianProcess

    @property
    def rows(self) -> int:
        """The number of trials."""
        return len(self.trials)

    def optima(self, present: Mask) -> Codes:
        """Return [functions] the place of each function's largest value among some candidates.

        present: [points] which candidates count.
        """
        allowed = np.where(present[None, :], self.functions, -np.inf)
        found: Codes = np.argmax(allowed, axis=1)
        return found

    def of_candidates(self, path: str) -> ParameterColumn:
        """Return the column of a parameter over the candidates alone."""
        return self.columns[path].take(slice(self.rows, None))

    def of_trials(self, path: str) -> ParameterColumn:
        """Return the column of a parameter over the trials alone."""
        return self.columns[path].take(slice(0, self.rows))


def locate_optimum(record: StudyRecord, space: Space, seed: int = 0) -> OptimumLocation:
    """Return where the best point may lie.

    A process is fitted to the scores; each function drawn from it has its best point somewhere, and
    where none of them has it the optimum is excluded. The same trials give the same answer.
    Sources: Villemonteix et al. 2009 and Hennig and Schuler 2012, of the distribution of the
    optimum; Thompson 1933.
    """
    ranked, quality = rank_quality(record)
    kept = _thin(quality, _most_rows(len(space.parameters)))
    trials, quality = [ranked[place] for place in kept], quality[kept]
    order = np.argsort(-quality, kind="stable")
    near = [trials[place].parameters for place in order[: max(8, len(order) // 10)]]
    candidates = [
        Trial(-1, "running", values, None, {})
        for values in _candidates(space, near, random.Random(seed))
    ]
    everything = replace(record, trials=(*trials, *candidates))
    table = tabulate(everything, space.parameters)
    points, is_choice = _coordinates(table)
    levels = max((len(column.levels) for column in table.columns.values()), default=0)
    process = fit(points[: len(trials)], quality, is_choice, levels)
    drawn = process.draw(points[len(trials) :], FUNCTIONS, np.random.default_rng(seed))
    return OptimumLocation(table.columns, quality, trials, drawn, points, process)


def rank_quality(record: StudyRecord) -> tuple[list[Trial], Floats]:
    """Return the trials that say something, and [trials] how good: mean 0, variance 1.

    Below the median, scores are drawn together: how bad a bad trial is says little of where the
    best one lies. A pruned trial counts as worse than most finished ones, by the order in which
    they were stopped; one that diverged, ran out of memory or violated a constraint as the worst.
    """
    sign = record.goals[0].sign
    done = [t for t in record.of_state("done") if t.score is not None and np.isfinite(t.score)]
    pruned = [t for t in record.of_state("pruned", "paused") if t.curve]
    failing = record.of_state("infeasible")
    scores = sign * np.array([t.score for t in done], dtype=np.float64)
    if not len(scores):
        return [], scores
    middle = float(np.median(scores))
    spread = float(np.quantile(scores, 0.84)) - middle
    if spread <= 0:
        spread = float(scores.std())
    off = (scores - middle) / (spread or 1.0)
    shaped = np.where(off < 0, -np.log1p(np.maximum(-off, 0.0)), off)
    floor, above = float(shaped.min()), float(np.quantile(shaped, MOST_PRUNED_ABOVE))
    places = order_ended(pruned, sign)
    behind = above + (floor - above) * (1.0 - (places + 0.5) / max(1, len(pruned)))
    values = np.concatenate([shaped, behind, np.full(len(failing), floor - 0.25)])
    deviation = float(values.std())
    ordered = np.argsort([t.number for t in (*done, *pruned, *failing)], kind="stable")
    everything = [*done, *pruned, *failing]
    standard = (values - values.mean()) / (deviation or 1.0)
    return [everything[place] for place in ordered], standard[ordered]


def _most_rows(parameters: int) -> int:
    """Return how many trials the process is fitted to: fewer for very many parameters."""
    return min(MOST_ROWS, int((MOST_DIFFERENCES / max(1, parameters)) ** 0.5))


def _thin(quality: Floats, most: int) -> Codes:
    """Return the places of at most `most` trials, in order."""
    if len(quality) <= most:
        return np.arange(len(quality))
    order = np.argsort(-quality, kind="stable")
    top, rest = order[: most // 2], order[most // 2 :]
    even = rest[np.linspace(0, len(rest) - 1, most - len(top)).astype(np.int64)]
    return np.sort(np.concatenate([top, even]))


def _coordinates(table: TrialTable) -> tuple[Floats, np.ndarray]:
    """Return [trials, dimensions] the table as points, and which dimensions are choices.

    A parameter that does not exist stands in the middle: that it does not exist is what the choice
    that decides it says.
    """
    columns = list(table.columns.values())
    units = [
        c.codes.astype(np.float64) if c.is_choice else np.where(c.present, c.units, 0.5)
        for c in columns
    ]
    points = np.stack(units, axis=1) if units else np.zeros((len(table.trials), 0))
    return points, np.array([c.is_choice for c in columns], dtype=bool)


def _candidates(
    space: Space, near: Sequence[Mapping[str, Any]], rng: random.Random
) -> list[Mapping[str, Any]]:
    """Return points of the whole space, and points near the best trials."""
    found: list[Mapping[str, Any]] = [
        values for _ in range(SPREAD_POINTS) if (values := draw(space, rng)) is not None
    ]
    found += near
    for _ in range(NEAR_POINTS):
        values = space.draw(_perturb(rng.choice(near), rng))
        if space.broken_rule(values) is None:
            found.append(values)
    return found


def _perturb(values: Mapping[str, Any], rng: random.Random) -> Callable[[Any], Any]:
    """Return what chooses values near those of a trial."""
    from tunewright.spaces.sample import uniform

    reach = 10.0 ** rng.uniform(-2.0, -0.5)

    def choose(parameter: Any) -> Any:
        domain, value = parameter.domain, values.get(parameter.path)
        if value is None or isinstance(domain, Categorical):
            fresh = value is None or rng.random() < 0.1
            return uniform(domain, rng) if fresh else nearest(domain, value)
        moved = nearest(domain, value)
        if rng.random() < 0.6:
            shift = rng.gauss(0.0, reach)
            if domain.log:
                moved = moved * (domain.high / domain.low) ** shift
            else:
                moved = moved + shift * (domain.high - domain.low)
        return nearest(domain, moved)

    return choose
