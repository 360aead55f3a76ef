"""Combine the outcomes of a trial's runs, one for each seed, into one trial."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from tunewright.runs.record import INFEASIBLE, Cause, Goal, Outcome, Trial, TrialState
from tunewright.search.study.constraints import Constraint


def aggregate_runs(
    number: int,
    values: Mapping[str, Any],
    curve: Mapping[int, float],
    outcomes: Mapping[int, Outcome],
    goals: Sequence[Goal],
    constraints: Sequence[Constraint] = (),
) -> Trial:
    """Return a trial that has ended. outcomes: by seed, with that of the first run first.

    With several runs, scores and costs are means. A run that failed decides the trial, since a
    configuration that fails with one seed of three cannot be relied on. A failure caused by the
    configuration, or a violated constraint, makes the trial infeasible.
    """
    runs = list(outcomes.values())
    means = _means([run.all_metrics for run in runs])
    state, cause, reason = _end(outcomes, goals, constraints, means)
    excess = {c.text: c.excess(means) for c in constraints}
    if state == "done" and (broken := [c for c in constraints if excess[c.text] > 0]):
        state, cause = "infeasible", "constraint"
        reason = "; ".join(
            f"{c.metric} is {means[c.metric]:.4g}, violating {c.text}" for c in broken
        )
    first, *others = goals
    goal_names = {goal.metric for goal in goals}
    scored = state == "done" or cause == "constraint"
    seeds = {str(s): run.all_metrics[first.metric] for s, run in outcomes.items()} if scored else {}
    return Trial(
        number=number,
        state=state,
        parameters=values,
        score=means[first.metric] if scored else None,
        curve=dict(curve),
        cause=cause,
        reason=reason,
        seconds=sum(run.seconds for run in runs),
        others={goal.metric: means[goal.metric] for goal in others} if scored else {},
        metrics={
            name: value
            for name, value in _means([run.metrics for run in runs]).items()
            if name not in goal_names
        },
        seeds=seeds if len(seeds) > 1 else {},
        costs=_means([run.costs for run in runs]),
        constraints=excess,
        interval=_interval(seeds, runs[0]) if scored else None,
        attributes=runs[0].attributes,
    )


def _end(
    outcomes: Mapping[int, Outcome],
    goals: Sequence[Goal],
    constraints: Sequence[Constraint],
    means: Mapping[str, float],
) -> tuple[TrialState, Cause, str]:
    # A cancelled run only means that another run had decided the trial.
    for seed, outcome in sorted(outcomes.items(), key=lambda run: run[1].cause == "interrupted"):
        where = f"seed {seed}: " if len(outcomes) > 1 else ""
        if outcome.state == "pruned":
            return "pruned", "", where + outcome.reason
        if outcome.state != "done":
            cause = outcome.cause or "error"
            state: TrialState = "infeasible" if cause in INFEASIBLE else "failed"
            return state, cause, where + outcome.reason
    wanted = [*(goal.metric for goal in goals), *(c.metric for c in constraints)]
    if missing := [metric for metric in wanted if metric not in means]:
        return "failed", "error", f"{', '.join(missing)} was not measured"
    return "done", "", ""


def _means(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric that all runs measured."""
    common = [name for name in measured[0] if all(name in other for other in measured)]
    return {name: fmean(other[name] for other in measured) for name in common}


def _interval(seeds: Mapping[str, float], first: Outcome) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean score over seeds, or of the validation set for one seed.

    Over seeds by Student's t; where all seeds scored the same, mostly at a bound, the seeds would
    claim certainty, and the interval of the validation set is used.
    """
    if len(set(seeds.values())) < 2:
        return first.interval
    from scipy.special import stdtrit  # 0.3 s to import, and only here

    mean = fmean(seeds.values())
    half = stdtrit(len(seeds) - 1, 0.975) * stdev(seeds.values()) / math.sqrt(len(seeds))
    return mean - half, mean + half
