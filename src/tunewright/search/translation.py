"""Our words in Optuna's, and back: domains, values, states, trials."""

import json
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from tunewright.runs.record import StudyRecord, Trial
from tunewright.runs.record import TrialState as State
from tunewright.search.storage import Settings
from tunewright.spaces.domain import Categorical, Domain, Float, canonical
from tunewright.spaces.space import Parameter


def distribution(domain: Domain) -> BaseDistribution:
    """Optuna's word for a domain."""
    if isinstance(domain, Categorical):
        return CategoricalDistribution([encoded(domain, choice) for choice in domain.choices])
    if isinstance(domain, Float):
        return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)
    return IntDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


OURS_TO_RUN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
"""Not WAITING: a point that another program enqueued is no trial of ours."""
DROPPED = "dropped"
"""User attribute of a trial that has no place in a changed space: why not."""
IMPORTED = "imported_from"
"""User attribute of a trial that ran in another study: `STUDY/17`."""


def trials_of(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count for anything: not those that only keep their number."""
    trials = study.get_trials(deepcopy=False, states=OURS_TO_RUN)
    return [trial for trial in trials if DROPPED not in trial.user_attrs]


def suggested(trial: optuna.Trial, parameter: Parameter) -> Any:
    """What the view's sampler proposes for a parameter, in our spelling."""
    path, domain = parameter.path, parameter.domain
    if isinstance(domain, Categorical):
        choices = [encoded(domain, choice) for choice in domain.choices]
        return domain.choices[choices.index(trial.suggest_categorical(path, choices))]
    if isinstance(domain, Float):
        return trial.suggest_float(path, domain.low, domain.high, log=domain.log, step=domain.step)
    return trial.suggest_int(path, domain.low, domain.high, log=domain.log, step=domain.step)


def encoded(domain: Domain, value: Any) -> Any:
    """Choices that Optuna cannot store, or would take for equal, become JSON texts."""
    if not isinstance(domain, Categorical) or _plain(domain):
        return value
    return canonical(value)


def _plain(domain: Categorical) -> bool:
    scalar = all(isinstance(c, str | int | float | None) for c in domain.choices)
    return scalar and len(set(domain.choices)) == len(domain.choices)


def decoded_params(trial: FrozenTrial) -> dict[str, Any]:
    """A stored trial's parameters, in our spelling."""
    return {path: _decoded(trial.distributions[path], v) for path, v in trial.params.items()}


def _decoded(stored: BaseDistribution, value: Any) -> Any:
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


def told(
    state: State, score: float | None, curve: Mapping[int, float]
) -> tuple[TrialState, list[float] | None]:
    """The state and values that Optuna is told for one of our states."""
    if state == "done" and score is not None:
        return TrialState.COMPLETE, [score]
    if state in ("pruned", "infeasible"):
        return TrialState.PRUNED, [curve[max(curve)]] if curve else None
    return TrialState.FAIL, None


def record_of(study: optuna.Study, settings: Settings | None) -> StudyRecord:
    """A stored study as plain values; without settings it is not one of ours."""
    trials = trials_of(study)
    maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
    return StudyRecord(
        name=study.study_name,
        recipe=settings.recipe if settings else "",
        goal=settings.goal if settings else "value",
        direction="max" if maximize else "min",
        trials=tuple(_trial(trial) for trial in trials),
    )


def _trial(trial: FrozenTrial) -> Trial:
    states: dict[TrialState, State] = {
        TrialState.COMPLETE: "done",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
        TrialState.RUNNING: "running",
    }
    state = states[trial.state]
    if state == "pruned" and any(value > 0 for value in trial.constraints.values()):
        state = "infeasible"
    attributes = trial.user_attrs
    return Trial(
        number=trial.number,
        state=state,
        parameters=decoded_params(trial),
        score=trial.value if trial.state == TrialState.COMPLETE else None,
        curve=dict(sorted(trial.intermediate_values.items())),
        cause=attributes.get("cause", ""),
        reason=attributes.get("reason", ""),
        seconds=trial.duration.total_seconds() if trial.duration else None,
        imported_from=attributes.get(IMPORTED, ""),
    )
