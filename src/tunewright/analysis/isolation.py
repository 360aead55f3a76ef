"""The best trial with each value of a parameter, which shows whether the value decides anything."""

from collections.abc import Mapping
from dataclasses import dataclass

from tunewright.analysis.grid.run_result import label_of, plain_value
from tunewright.runs.record import StudyRecord, Trial


@dataclass(frozen=True)
class BestOfValue:
    """A value of a parameter: the best trial that had it, and how many had it."""

    label: str
    best: Trial
    trials: int


def isolate(record: StudyRecord, path: str) -> list[BestOfValue]:
    """Return the best finished trial with each value of a parameter, best value first.

    The others of its parameters were tuned along with it, so that values are compared at their
    best. Source: Godbole et al. 2023, Deep Learning Tuning Playbook, isolation plots.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in record.rank_trials():
        if path in trial.parameters:
            label = label_of(plain_value(trial.parameters[path]))
            groups.setdefault(label, []).append(trial)
    return [BestOfValue(label, trials[0], len(trials)) for label, trials in groups.items()]


def categorical_paths(
    record: StudyRecord, domains: Mapping[str, Mapping[str, object]]
) -> list[str]:
    """Return the searched parameters that are a choice: by the space, else by their values.

    domains: the parameters of the space, as its file has them; empty for a foreign study.
    """
    values: dict[str, set[str]] = {}
    numbers: dict[str, bool] = {}
    for trial in record.trials:
        for path, value in trial.parameters.items():
            plain = plain_value(value)
            values.setdefault(path, set()).add(label_of(plain))
            numbers[path] = numbers.get(path, True) and isinstance(plain, float)
    return [
        path
        for path, found in values.items()
        if len(found) > 1
        and (domains[path].get("type") == "categorical" if path in domains else not numbers[path])
    ]
