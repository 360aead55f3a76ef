"""The space of a study that stored none: domains and conditions as its trials have them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunewright.runs.record import StudyRecord, Trial
from tunewright.spaces.domain import Categorical, canonical
from tunewright.spaces.rules import Condition
from tunewright.spaces.space import Parameter, Space, sort_parameters
from tunewright.spaces.specification import specification


def specification_of(record: StudyRecord, parameters: Sequence[Parameter]) -> Mapping[str, Any]:
    """Return the space of a study as a space file has it.

    A parameter that some trials lack exists where a choice takes certain values, if those trials
    and no others have it; where no choice tells it, it is taken to exist always.
    """
    found = {
        one.path: replace(one, when=_conditions(record, one, parameters)) for one in parameters
    }
    return specification(Space(sort_parameters(found)))


def _conditions(
    record: StudyRecord, parameter: Parameter, parameters: Sequence[Parameter]
) -> tuple[Condition, ...]:
    having = [trial for trial in record.trials if parameter.path in trial.parameters]
    lacking = [t for t in record.trials if t.parameters and parameter.path not in t.parameters]
    if not having or not lacking:
        return ()
    for other in parameters:
        if other.path == parameter.path or not isinstance(other.domain, Categorical):
            continue
        with_it, without = _values(having, other.path), _values(lacking, other.path)
        if None in with_it or with_it & without or without == {None}:
            continue
        among = tuple(c for c in other.domain.choices if canonical(c) in with_it)
        if among:
            return (Condition(other.path, among=among),)
    return ()


def _values(trials: Sequence[Trial], path: str) -> set[str | None]:
    return {canonical(t.parameters[path]) if path in t.parameters else None for t in trials}
