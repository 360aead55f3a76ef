"""What a trial came to: the outcomes of its runs, one for each seed, as one trial."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from tunewright.runs.record import INFEASIBLE, Cause, Goal, Outcome, Trial, TrialState
from tunewright.search.study.constraints import Constraint


def verdict(
    number: int,
    values: Mapping[str, Any],
    curve: Mapping[int, float],
    outcomes: Mapping[int, Outcome],
    goals: Sequence[Goal],
    constraints: Sequence[Constraint] = (),
) -> Trial:
    """A trial that has ended. outcomes: by seed, that of the first run first.

    With several runs, scores and costs are means. A run that failed decides for all, since
    a configuration that fails by one seed of three cannot be relied on; a failure that lies in
    the configuration, or a broken constraint, makes the trial infeasible.
    """
    runs = list(outcomes.values())
    means = _means([run.measured for run in runs])
    state, cause, reason = _end(outcomes, goals, constraints, means)
    excess = {c.text: c.excess(means) for c in constraints}
    if state == "done" and (broken := [c for c in constraints if excess[c.text] > 0]):
        state, cause = "infeasible", "constraint"
        reason = "; ".join(f"{c.metric} is {means[c.metric]:.4g}, not {c.text}" for c in broken)
    first, *others = goals
    scored = state == "done" or cause == "constraint"
    seeds = {str(s): run.measured[first.metric] for s, run in outcomes.items()} if scored else {}
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
        seeds=seeds if len(seeds) > 1 else {},
        costs=_means([run.costs for run in runs]),
        constraints=excess,
        interval=_interval(seeds, runs[0]) if scored else None,
    )


def _end(
    outcomes: Mapping[int, Outcome],
    goals: Sequence[Goal],
    constraints: Sequence[Constraint],
    means: Mapping[str, float],
) -> tuple[TrialState, Cause, str]:
    # A run that was called off says only that another one had decided.
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
    """Of what all runs measured."""
    common = [name for name in measured[0] if all(name in other for other in measured)]
    return {name: fmean(other[name] for other in measured) for name in common}


def _interval(seeds: Mapping[str, float], first: Outcome) -> tuple[float, float] | None:
    """95 % of the mean over seeds by Student's t; that of the validation set for one seed.

    Also where all seeds scored the same, mostly at a bound: by them the mean would be certain.
    """
    if len(set(seeds.values())) < 2:
        return first.interval
    from scipy.special import stdtrit  # 0.3 s to import, and only here

    mean = fmean(seeds.values())
    half = stdtrit(len(seeds) - 1, 0.975) * stdev(seeds.values()) / math.sqrt(len(seeds))
    return mean - half, mean + half
