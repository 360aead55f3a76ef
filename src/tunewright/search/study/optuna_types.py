"""Translate between our types and Optuna's: domains, values, states, trials."""

import json
import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tunewright.runs.record import Direction, Goal, StudyRecord, Trial
from tunewright.runs.record import TrialState as State
from tunewright.search.storage.database import Settings
from tunewright.search.study.notes import note_of, system_attributes
from tunewright.search.study.trial_tags import AUDITED, AVOIDED, GOOD, PAUSED, SPANS, read_spans
from tunewright.spaces.domain import (
    Categorical,
    Domain,
    Float,
    canonical,
    grid_steps,
    nearest,
    on_grid,
)
from tunewright.spaces.space import Parameter


def distribution(domain: Domain) -> BaseDistribution:
    """Return Optuna's distribution for a domain."""
    if isinstance(domain, Categorical):
        return CategoricalDistribution(encoded_choices(domain))
    if isinstance(domain, Float):
        return FloatDistribution(domain.low, _top(domain), log=domain.log, step=domain.step)
    top = domain.high - (domain.high - domain.low) % domain.step
    return IntDistribution(domain.low, top, log=domain.log, step=domain.step)


def _top(domain: Float) -> float:
    """Return the largest value on the grid; Optuna warns of an upper bound beside the grid."""
    return on_grid(domain, grid_steps(domain)) if domain.step else domain.high


def direction(goal: Goal) -> StudyDirection:
    """Return Optuna's direction of a goal."""
    return StudyDirection.MAXIMIZE if goal.direction == "max" else StudyDirection.MINIMIZE


FAILURE = "failure"
"""Constraint key on every trial: 1 for divergence and out of memory, 0 otherwise."""
FAILURE_CONSTRAINT = f"constraints:{FAILURE}"
"""Key of that constraint among Optuna's system attributes."""
SOURCES = "carried_from"
"""User attribute of a study: the sources its first trials were imported from, as typed."""
RUN = "run"
"""User attribute with the results of a trial's runs besides their scores."""
OURS_TO_RUN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
"""States of trials of ours; not WAITING, which is a point that another program enqueued."""
DROPPED = "dropped"
"""User attribute of a placeholder trial that only keeps its number: the reason."""
IMPORTED = "imported_from"
"""User attribute of a trial that ran in another study: `STUDY/17`."""


OWN_ATTRIBUTES = (
    "cause",
    "reason",
    RUN,
    DROPPED,
    IMPORTED,
    AVOIDED,
    GOOD,
    AUDITED,
    PAUSED,
    SPANS,
    "dropped_trial",
)
"""User attributes of trials that are not metrics."""
METRIC = "metric:"
"""Beginning of the user attribute of a metric that is named like one of those."""


def trials_of(study: optuna.Study, *, ours: bool = True) -> list[FrozenTrial]:
    """Return the trials without placeholders that only keep their number."""
    trials = study.get_trials(deepcopy=False, states=OURS_TO_RUN)
    read = [as_ours(trial, ours=ours) for trial in trials]
    return [trial for trial in read if DROPPED not in trial.user_attrs]


def as_ours(trial: FrozenTrial, *, ours: bool = True) -> FrozenTrial:
    """Return a stored trial with only finite numbers in its scores and curve.

    Optuna keeps infinite scores as good ones; here such a trial has diverged, as a run of ours
    would have. ours: False ignores the attributes, which another program may use differently.
    """
    scores = trial.values or []
    curve = {step: v for step, v in trial.intermediate_values.items() if math.isfinite(v)}
    if ours and len(curve) == len(trial.intermediate_values) and all(map(math.isfinite, scores)):
        return trial
    read = copy(trial)
    read.intermediate_values = curve
    read.user_attrs = dict(trial.user_attrs) if ours else {}
    if not all(map(math.isfinite, scores)):
        read.values = None
        if trial.state == TrialState.COMPLETE:
            read.state = TrialState.PRUNED
            read.system_attrs = {**trial.system_attrs, FAILURE_CONSTRAINT: 1.0}
            reason = f"its score is {', '.join(f'{score:g}' for score in scores)}"
            read.user_attrs |= {"cause": "diverged", "reason": reason}
    return read


def suggest(trial: optuna.Trial, parameter: Parameter) -> Any:
    """Return the value that the view's sampler suggests for a parameter, in our spelling."""
    path, domain = parameter.path, parameter.domain
    if isinstance(domain, Categorical):
        choices = encoded_choices(domain)
        return domain.choices[choices.index(trial.suggest_categorical(path, choices))]
    if isinstance(domain, Float):
        top = _top(domain)
        value = trial.suggest_float(path, domain.low, top, log=domain.log, step=domain.step)
        return nearest(domain, value)
    return trial.suggest_int(path, domain.low, domain.high, log=domain.log, step=domain.step)


def encode(domain: Domain, value: Any) -> Any:
    """Encode as JSON text the choices that Optuna cannot store, or would take for equal."""
    if not isinstance(domain, Categorical) or domain.is_plain:
        return value
    return canonical(value)


def encoded_choices(domain: Categorical) -> list[Any]:
    """Return all choices as Optuna stores them."""
    return list(domain.choices if domain.is_plain else map(canonical, domain.choices))


def decoded_params(trial: FrozenTrial) -> dict[str, Any]:
    """Return a stored trial's parameters, in our spelling."""
    return {path: decode(trial.distributions[path], v) for path, v in trial.params.items()}


def decode(stored: BaseDistribution, value: Any) -> Any:
    """Return a stored value in our spelling; see `encode`."""
    if isinstance(stored, CategoricalDistribution) and all(
        isinstance(choice, str) for choice in stored.choices
    ):
        try:
            decoded = [json.loads(str(choice)) for choice in stored.choices]
        except json.JSONDecodeError:
            return value
        if [canonical(choice) for choice in decoded] == list(stored.choices):
            return json.loads(value)
    return value


@dataclass(frozen=True)
class End:
    """The end of a trial, as Optuna stores it. constraints: the same keys on every trial."""

    state: TrialState
    values: list[float] | None
    constraints: Mapping[str, float]
    attributes: Mapping[str, Any]


def end_of(trial: Trial, goals: Sequence[Goal], constraints: Sequence[str]) -> End:
    """Return the end of one of our trials as Optuna stores it.

    A trial that ran to its end and violated a constraint is complete, with the constraint beside
    it. A pruned one has the last value of its curve, which is that of the first goal alone.
    """
    _first, *others = goals
    scored = trial.score is not None and trial.state in ("done", "infeasible")
    values: list[float] | None = None
    if trial.score is not None and scored:
        state = TrialState.COMPLETE
        values = [trial.score, *(trial.others[goal.metric] for goal in others)]
    elif trial.state in ("pruned", "infeasible"):
        state, curve = TrialState.PRUNED, trial.curve
        values = [curve[max(curve)]] if curve and not others else None
    else:
        state = TrialState.FAIL
    failed = trial.state == "infeasible" and not scored
    excess = {text: trial.constraints.get(text, 0.0) for text in constraints}
    attributes: dict[str, Any] = {}
    if trial.cause or trial.reason:
        attributes = {"cause": trial.cause, "reason": trial.reason}
    run: dict[str, Any] = {"interval": trial.interval, "seeds": trial.seeds, "costs": trial.costs}
    # The names; each value is an attribute of its own.
    run |= {"metrics": list(trial.metrics), "attributes": list(trial.attributes)}
    if run := {key: value for key, value in run.items() if value}:
        attributes[RUN] = run
    if trial.spans:
        attributes[SPANS] = [*trial.spans]
    named = {**trial.attributes, **trial.metrics}
    attributes |= {_metric_key(name): value for name, value in named.items()}
    return End(state, values, {FAILURE: float(failed), **excess}, attributes)


def _metric_key(name: str) -> str:
    """Return the user attribute of a metric, under which dashboards and data frames show it."""
    return f"{METRIC}{name}" if name in OWN_ATTRIBUTES or name.startswith(METRIC) else name


def _metrics(attributes: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """Return the metrics of a trial among its user attributes."""
    keys = {name: _metric_key(name) for name in names}
    return _finite({name: attributes[key] for name, key in keys.items() if key in attributes})


def record_of(study: optuna.Study, settings: Settings | None) -> StudyRecord:
    """Return a stored study as plain values; settings: None for a study of another program."""
    trials = trials_of(study, ours=settings is not None)
    goals = settings.goals if settings else _foreign_goals(study)
    attributes = system_attributes(study)
    return StudyRecord(
        name=study.study_name,
        recipe=settings.recipe if settings else "",
        goal=goals[0].metric,
        direction=goals[0].direction,
        trials=tuple(
            replace(_trial(trial, goals), note=note_of(attributes, trial._trial_id))
            for trial in trials
        ),
        others=goals[1:],
    )


def _foreign_goals(study: optuna.Study) -> tuple[Goal, ...]:
    maximize = [d == StudyDirection.MAXIMIZE for d in study.directions]
    names = ["value"] if len(maximize) == 1 else [f"value_{n}" for n in range(len(maximize))]
    directions: list[Direction] = ["max" if more else "min" for more in maximize]
    return tuple(Goal(*goal) for goal in zip(names, directions, strict=True))


def _trial(trial: FrozenTrial, goals: Sequence[Goal]) -> Trial:
    states: dict[TrialState, State] = {
        TrialState.COMPLETE: "done",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
        TrialState.RUNNING: "running",
    }
    state = states[trial.state]
    constraints = {key: value for key, value in trial.constraints.items() if key != FAILURE}
    failed = trial.constraints.get(FAILURE, 0.0) > 0
    if (state == "pruned" and failed) or (
        state == "done" and not all(value <= 0 for value in trial.constraints.values())
    ):
        state = "infeasible"
    attributes = trial.user_attrs
    rung = str(attributes.get(PAUSED) or "")
    if state == "running" and rung:
        state = "paused"
    spans = read_spans(attributes.get(SPANS))
    run: Mapping[str, Any] = attributes.get(RUN) or {}
    interval = run.get("interval")
    scores = list(trial.values) if trial.state == TrialState.COMPLETE else []  # never without
    return Trial(
        number=trial.number,
        state=state,
        parameters=decoded_params(trial),
        score=scores[0] if scores else None,
        curve=dict(sorted(trial.intermediate_values.items())),
        cause=attributes.get("cause", ""),
        reason=attributes.get("reason", ""),
        seconds=sum(seconds for _, seconds in spans) or _seconds(trial),
        others={goal.metric: score for goal, score in zip(goals[1:], scores[1:], strict=False)},
        metrics=_metrics(attributes, run.get("metrics") or ()),
        seeds=_finite(run.get("seeds") or {}),
        costs=_finite(run.get("costs") or {}),
        constraints=constraints,
        interval=tuple(interval) if interval and all(map(math.isfinite, interval)) else None,
        imported_from=attributes.get(IMPORTED, ""),
        good=attributes.get(GOOD, ""),
        avoided=tuple(attributes.get(AVOIDED, ())),
        audited=attributes.get(AUDITED),
        rung=rung,
        spans=spans,
        started=trial.datetime_start.timestamp() if trial.datetime_start else None,
        attributes={
            name: attributes[_metric_key(name)]
            for name in run.get("attributes") or ()
            if _metric_key(name) in attributes
        },
    )


def _seconds(trial: FrozenTrial) -> float | None:
    """Return how long a trial took; None where it did not end, or the clock was set back."""
    took = trial.duration.total_seconds() if trial.duration else 0.0
    return took if took > 0.0 else None


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: figure for name, figure in figures.items() if math.isfinite(figure)}
