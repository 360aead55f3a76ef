"""The space of the next stage, from the trials of a study."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tunewright.analysis.findings.changes import more_trials
from tunewright.analysis.findings.evidence import Evidence, gather
from tunewright.analysis.findings.finding import StudyContext
from tunewright.analysis.findings.kinds.parameters import edges_of, find_no_effect
from tunewright.analysis.findings.wording import figure, join_words, trials
from tunewright.analysis.narrowing.narrowing import (
    CutTrials,
    NarrowedParameter,
    NarrowedSpace,
    Narrowing,
)
from tunewright.analysis.narrowing.optimum_location import locate_optimum, rank_quality
from tunewright.analysis.narrowing.parameters import Narrower
from tunewright.analysis.narrowing.regions import group_trials, region_parameters
from tunewright.errors import StudyError, UsageError, did_you_mean
from tunewright.runs.record import StudyRecord, Trial, TrialState
from tunewright.spaces.domain import Categorical, nearest
from tunewright.spaces.space import Parameter, Space
from tunewright.spaces.specification import domain_fields, read_specification

KEEP = 0.15
FEWEST = 10
"""Trials with a result that a space can be narrowed by at least."""


def narrow(
    record: StudyRecord,
    specification: Mapping[str, Any],
    context: StudyContext | None = None,
    *,
    keep: float = KEEP,
    lock: bool = False,
    regions: int = 1,
) -> Narrowing:
    """Return the space of the next stage: smaller where the trials allow it, wider at an edge.

    A range keeps that of the best `keep` of the trials, and all else where the best point may lie:
    what a Gaussian process over all trials cannot exclude at 95 %, over all parameters together. A
    choice is dropped where the process excludes it, at least five trials have it, and it is not
    among the best. A range is made wider at an end at which the best trials lie and get better. A
    parameter that exists under a condition is judged among the trials that have it. Scale and steps
    of a domain stay, as do the rules between parameters.

    specification: the space, as a space file of ours has it. lock: fix parameters that surely make
    no difference. regions: the number of groups of good trials around which a space each is
    returned as well.

    Raises StudyError where the trials say nothing: too few, all alike, none finished; UsageError
    for options out of range.
    """
    _check_options(keep, regions)
    context = replace(context or StudyContext(), ran=len(record.own))
    _check_trials(record, specification, context)
    space = read_specification(specification, context.configuration)
    evidence = gather(record, space.parameters, context)
    location = locate_optimum(record, space)
    best = record.best
    values = {} if best is None else best.parameters
    edges: dict[str, list[Any]] = {}
    for edge in edges_of(evidence):
        edges.setdefault(edge.column.path, []).append(edge)
    narrower = Narrower(location, keep, edges, values)
    changed = [narrower.narrow(parameter) for parameter in space.parameters]
    idle = _without_effect(evidence, changed)
    if lock:
        changed = [_lock(one) if one.path in idle else one for one in changed]
    carried, sign = rank_quality(record)[0], record.goals[0].sign
    whole = _narrowed_space(specification, space, changed, carried, values, sign)
    top = max(1, round(keep * location.rows))
    notices = []
    if not whole.is_smaller:
        notices.append("nothing can be cut yet: the trials do not exclude any part of the space")
    around = []
    for members in group_trials(location, keep, regions) if regions > 1 else ():
        centre = location.trials[members[0]]
        inside = read_specification(whole.specification, context.configuration)
        own = region_parameters(location, inside, members)
        found = _narrowed_space(specification, space, own, carried, centre.parameters, sign)
        about = f"around trial {centre.number}: {trials(len(members))}, the best with"
        around.append(replace(found, header=(f"{about} {figure(centre.score)}",)))
    if len(around) < regions and regions > 1:
        notices.append(
            f"{len(around)} region(s) in place of {regions}: the best trials lie close together"
        )
    header = (
        f"The space of {record.name!r} narrowed by {trials(len(carried))}, for {record.goal} "
        f"({record.direction}).",
        f"{whole.cut.count} of them lie outside"
        + (f", the best with {figure(whole.cut.best, 4)}." if whole.cut.best is not None else "."),
    )
    spaces = tuple(
        replace(one, header=(f"region {place} of {len(around)} of {record.name}, {one.header[0]}",))
        for place, one in enumerate(around, 1)
    )
    return Narrowing(
        whole.parameters,
        whole.specification,
        whole.fitting,
        whole.cut,
        header,
        study=record.name,
        goal=record.goal,
        direction=record.direction,
        trials=len(carried),
        top=top,
        score=None if best is None else best.score,
        regions=spaces,
        notices=tuple(notices),
        idle=tuple(path for path in idle if path in whole.specification["parameters"] and not lock),
        context=context,
    )


def _without_effect(evidence: Evidence, changed: Sequence[NarrowedParameter]) -> list[str]:
    """Return the parameters that surely make no difference, also to the process."""
    decided = {
        one.path
        for one in changed
        if one.change in ("widened", "moved", "fixed")
        or (one.change == "narrowed" and isinstance(one.before, Categorical))
    }
    found = [path for one in find_no_effect(evidence) for path in one.parameters]
    return [path for path in found if path not in decided]


def _lock(one: NarrowedParameter) -> NarrowedParameter:
    """Return a parameter fixed at its value in the best trial; as it is where that lacks it."""
    if one.best is None:
        return one
    reason = "it makes no difference; this is the value of the best trial"
    return replace(one, after=Categorical((one.best,)), change="fixed", reason=reason)


def _check_options(keep: float, regions: int) -> None:
    if not 0.0 < keep < 1.0:
        raise UsageError(f"--keep {keep:g}", expected="a share of the trials, such as 0.15")
    if regions < 1:
        raise UsageError(f"--regions {regions}", expected="1 or more")


def record_for(record: StudyRecord, metric: str) -> StudyRecord:
    """Return a study of several goals with one of them alone; its trials keep the other scores.

    Raises UsageError for a metric that is no goal of it.
    """
    chosen = next((goal for goal in record.goals if goal.metric == metric), None)
    if chosen is None:
        goals = [goal.metric for goal in record.goals]
        raise UsageError(
            f"--metric {metric}",
            expected=f"a goal of the study: {', '.join(goals)}",
            remedy=did_you_mean(metric, goals),
        )
    trials = record.trials
    if chosen != record.goals[0]:  # what a pruned trial had reached is of the first goal
        trials = tuple(
            replace(t, score=t.others.get(metric), interval=None, curve={}) for t in trials
        )
    return replace(record, goal=metric, direction=chosen.direction, others=(), trials=trials)


def _check_trials(
    record: StudyRecord, specification: Mapping[str, Any], context: StudyContext
) -> None:
    """Raise StudyError where the trials cannot say anything about the space."""
    name = repr(record.name)
    more = f"Run more first: {more_trials(context, 2 * max(FEWEST, context.ran))}"
    if context.exhausted:
        larger = f"tunewright tune --resume {shlex.quote(context.study)} --space FILE"
        if context.recipe == "function":
            larger = "tune(function, larger_space, ...), the rest of the call as before"
        more = f"Every point of its space has been tried. Search a larger one: {larger}."
    if record.others:
        goals = " and ".join(goal.metric for goal in record.goals)
        raise StudyError(
            f"the study {name} has {len(record.goals)} goals, {goals}",
            expected="one goal to narrow for: the best points of several lie apart",
            remedy=f"Choose one: --metric {record.goal}.",
        )
    finished = [t for t in record.of_state("done") if t.score is not None and np.isfinite(t.score)]
    if not finished:
        states: tuple[TrialState, ...] = ("pruned", "infeasible", "failed", "paused", "running")
        counts = {state: len(record.of_state(state)) for state in states}
        shown = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        raise StudyError(
            f"no trial of {name} has finished" + (f" ({shown})" if shown else ": it has no trials"),
            expected=f"{FEWEST} trials with a result",
            remedy=_see_why(context) if counts["failed"] else more,
        )
    ranked, _ = rank_quality(record)
    if len(ranked) < FEWEST:
        raise StudyError(
            f"{trials(len(ranked))} of {name} with a result",
            expected=f"{FEWEST} or more, by which a space can be narrowed",
            remedy=more,
        )
    if len({trial.score for trial in finished}) == 1 and len(finished) == len(ranked):
        raise StudyError(
            f"all {len(finished)} finished trials of {name} score {finished[0].score:g}",
            expected="scores that differ, so that some part of the space is better",
            remedy=f"Check that the goal is what the training changes. {_see_why(context)}",
        )
    if not specification.get("parameters"):
        raise StudyError(
            f"the trials of {name} have no parameters in common", expected="a space to narrow"
        )


def _see_why(context: StudyContext) -> str:
    if not context.study:
        return "`tunewright analyze` shows the trials."
    return f"See the trials: tunewright analyze {shlex.quote(context.study)}"


def _narrowed_space(
    specification: Mapping[str, Any],
    space: Space,
    changed: Sequence[NarrowedParameter],
    carried: Sequence[Trial],
    start: Mapping[str, Any],
    sign: float,
) -> NarrowedSpace:
    """Return the space with changed domains, without the parameters that it no longer reaches.

    start: the values with which it begins.
    """
    domains = {one.path: one.after for one in changed if one.after is not None}
    reached: list[Parameter] = []
    gone: dict[str, str] = {}
    for parameter in space.parameters:  # conditions name earlier parameters
        if parameter.path not in domains:
            continue
        dead = [
            c
            for c in parameter.when
            if c.path in gone or (c.path in domains and not c.possible(domains[c.path]))
        ]
        if dead:
            gone[parameter.path] = f"it needs {join_words([str(c) for c in dead])}"
            continue
        reached.append(replace(parameter, domain=domains[parameter.path]))
    fields = {}
    for parameter in reached:
        before = dict(specification["parameters"][parameter.path])
        kept = {key: value for key, value in before.items() if key == "when"}
        default = start.get(parameter.path, before.get("default"))
        if default is not None:
            kept["default"] = nearest(parameter.domain, default)
        fields[parameter.path] = domain_fields(parameter.domain) | kept
    found = {**specification, "inherit": False, "parameters": fields}
    new = replace(space, parameters=tuple(reached))
    if "good" in found:
        found["good"] = [one for one in found["good"] if _allows(new, one.get("set") or {})]
        found = {key: value for key, value in found.items() if value != []}
    outside = [trial for trial in carried if not new.contains(trial.parameters)]
    parameters = tuple(
        replace(one, after=None, change="dropped", reason=gone[one.path])
        if one.path in gone
        else one
        for one in changed
    )
    return NarrowedSpace(parameters, found, len(carried) - len(outside), _cut(outside, sign))


def _allows(space: Space, values: Mapping[str, Any]) -> bool:
    return all(path not in space or space[path].domain.contains(v) for path, v in values.items())


def _cut(outside: Sequence[Trial], sign: float) -> CutTrials:
    done = [(t.score, t.number) for t in outside if t.state == "done" and t.score is not None]
    if not done:
        return CutTrials(len(outside))
    score, number = max(done, key=lambda one: sign * one[0])
    return CutTrials(len(outside), score, number)
