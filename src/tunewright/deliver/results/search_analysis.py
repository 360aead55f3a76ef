"""Rank the results of a search over gamma and w_lr, lambda by lambda."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tunewright.analysis.grid.rank_cells import LambdaRanking, rank_cells
from tunewright.analysis.grid.run_result import (
    Measured,
    RunResult,
    Value,
    label_of,
    sort_values,
)
from tunewright.deliver.results.parameter_names import GAMMA, LAMBDA, SEED, W_LR
from tunewright.deliver.results.result_set import ResultSet, shorten_notices
from tunewright.errors import DataError, UsageError, did_you_mean
from tunewright.recipes.compression.config import LAMBDAS
from tunewright.result import Result
from tunewright.runs.record import Goal

Ranked = tuple[RunResult, Measured]
APART = 1e-6
"""Relative difference up to which two lambdas are one."""


@dataclass(frozen=True)
class SearchAnalysis(Result):
    """The rankings of a search, one for each lambda, by one metric.

    parameters: the cells are their combinations. runs: how many results count. notices: what was
    left out or assumed.
    """

    metric: str
    direction: str
    parameters: tuple[str, ...]
    runs: int
    rankings: tuple[LambdaRanking, ...]
    notices: tuple[str, ...]

    def ranking(self, lambda_value: float | None) -> LambdaRanking:
        """Return the ranking of a lambda; of the only one for None.

        Raises UsageError for a lambda that no result has, and for None with several.
        """
        there = [one.lmbda for one in self.rankings]
        shown = ", ".join(map(label_of, there))
        if lambda_value is None:
            if len(there) == 1:
                return self.rankings[0]
            raise UsageError("no lambda was named", expected=f"one of {shown}")
        for one in self.rankings:
            if isinstance(one.lmbda, float) and math.isclose(
                one.lmbda, lambda_value, rel_tol=APART
            ):
                return one
        raise UsageError(
            f"no result with lambda {lambda_value:g}",
            expected=f"one of those that were read: {shown}",
        )


def analyze_search(
    found: ResultSet, goal: Goal, parameters: Sequence[str] = (GAMMA, W_LR)
) -> SearchAnalysis:
    """Rank the combinations of some parameters at each lambda by a metric.

    Results without the metric, or without one of the parameters, are left out with a notice. Where
    none has the parameters, those that differ between results take their place. Raises DataError
    where no result has the metric.
    """
    ranked, without = [], []
    for run in found.results:
        measured = run.measured(goal)
        if measured is None:
            there = ", ".join(sorted(run.metrics)) or "none that is finite"
            without.append(f"{run.source} has no {goal.metric} (it has {there}): left out")
        else:
            ranked.append((run, measured))
    if not ranked:
        known = {name for run in found.results for name in run.metrics}
        raise DataError(
            f"none of {len(found.results)} results has the metric {goal.metric}",
            expected=f"one of {', '.join(sorted(known))}" if known else "a metric",
            remedy=did_you_mean(goal.metric, known),
        )
    names = _parameters(ranked, parameters)
    used = [(run, m) for run, m in ranked if all(name in run.parameters for name in names)]
    foreign = [
        f"{run.source} has no {' or '.join(n for n in names if n not in run.parameters)}: left out"
        for run, _ in ranked
        if any(name not in run.parameters for name in names)
    ]
    by_lambda: dict[Value, list[Ranked]] = defaultdict(list)
    for run, measured in used:
        by_lambda[run.parameters.get(LAMBDA)].append((run, measured))
    rankings = tuple(
        rank_cells(by_lambda[lmbda], names, goal, lmbda) for lmbda in sort_values(by_lambda)
    )
    notices = [
        *found.notices,
        *shorten_notices(without, f"results have no {goal.metric}"),
        *shorten_notices(foreign, "results are of another search"),
        *_about_lambdas(by_lambda),
        *_about_steps(used, goal),
        *_about_runs(used, names),
        *(notice for ranking in rankings for notice in _about_lambda(ranking, goal)),
    ]
    return SearchAnalysis(
        goal.metric, goal.direction, tuple(names), len(used), rankings, tuple(notices)
    )


def _parameters(ranked: Sequence[Ranked], wanted: Sequence[str]) -> list[str]:
    """Return the wanted parameters that any result has, else those that differ."""
    known = [name for name in wanted if any(name in run.parameters for run, _ in ranked)]
    if known:
        return known
    shared = set.intersection(*(set(run.parameters) for run, _ in ranked))
    differ = [
        name
        for name in sorted(shared - {LAMBDA, *SEED})
        if len({run.parameters[name] for run, _ in ranked}) > 1
    ]
    if not differ:
        raise DataError(
            f"the {len(ranked)} results differ in no parameter",
            expected=f"results with {' and '.join(wanted)}",
        )
    return differ


def _about_lambdas(by_lambda: Mapping[Value, Sequence[Ranked]]) -> Iterator[str]:
    """Yield how many results do not tell their lambda, where others do."""
    if None in by_lambda and len(by_lambda) > 1:
        yield f"{len(by_lambda[None])} results tell no lambda: they are ranked by themselves"


def _about_steps(used: Sequence[Ranked], goal: Goal) -> Iterator[str]:
    """Yield which step of each run counts, and which names the metric has."""
    best = [m.step for _, m in used if m.step is not None and m.steps > 1]
    if best:
        yield (
            f"of {len(best)} runs with a history the step with the best {goal.metric} counts, not "
            f"the last one: step {min(best)} to {max(best)}"
        )
    stored = [m.step for _, m in used if m.step is not None and m.steps == 1]
    if stored:
        yield (
            f"of {len(stored)} runs the best checkpoint counts, of epoch {min(stored)} to "
            f"{max(stored)}"
        )
    unknown = sum(m.step is None for _, m in used)
    if unknown:
        yield f"{unknown} results are single values, of whichever step their program stored"
    names = sorted({m.name for _, m in used} - {goal.metric})
    if names:
        yield f"{goal.metric} is read from {', '.join(names)}"


def _about_runs(used: Sequence[Ranked], names: Sequence[str]) -> Iterator[str]:
    """Yield what else differs between runs of a cell, and which runs ended badly."""
    yield from shorten_notices(
        (f"{run.source} {run.ended_badly}; it counts" for run, _ in used if run.ended_badly),
        "runs ended badly and count",
    )
    cells: dict[tuple[Value, ...], list[RunResult]] = defaultdict(list)
    for run, _ in used:
        cells[tuple(run.parameters.get(name) for name in (LAMBDA, *names))].append(run)
    others = {
        name
        for runs in cells.values()
        for name in set.intersection(*(set(run.parameters) for run in runs)) - {*SEED}
        if len({run.parameters[name] for run in runs}) > 1
    }
    if others:
        listed = ", ".join(sorted(others)[:5])
        yield f"runs of one cell also differ in {listed}: they are averaged over it"


def _about_lambda(ranking: LambdaRanking, goal: Goal) -> Iterator[str]:
    """Yield whether a lambda is unusual, and whether the metric alone misleads."""
    lmbda = ranking.lmbda
    if isinstance(lmbda, float) and not any(
        table[0] <= lmbda <= table[-1] for table in LAMBDAS.values()
    ):
        ranges = " and ".join(f"{t[0]:g} to {t[-1]:g} ({kind})" for kind, t in LAMBDAS.items())
        yield f"lambda = {label_of(lmbda)} lies outside the tables of lambdas, {ranges}"
    bare = goal.metric.removeprefix("val_").removeprefix("val/")
    rates = [cell.beside["bpp"] for cell in ranking.cells if "bpp" in cell.beside]
    if bare in ("psnr", "ms_ssim") and len(rates) > 1 and max(rates) > 1.02 * min(rates):
        where = "" if lmbda is None else f" at lambda {label_of(lmbda)}"
        yield (
            f"{goal.metric} alone favours cells that spend more bits: they take {min(rates):.4g} "
            f"to {max(rates):.4g} bpp{where}; loss weighs both"
        )
