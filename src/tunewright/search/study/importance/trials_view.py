"""A study of chosen trials, for Optuna's evaluators, which take whole studies."""

from collections.abc import Container, Mapping, Sequence
from copy import copy

import optuna
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tunewright.analysis.importances import JudgedTrials


class TrialsView(optuna.Study):
    """A study in memory that consists of given trials; less of their value is better."""

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        storage = InMemoryStorage()
        number = storage.create_new_study([StudyDirection.MINIMIZE])
        super().__init__(study_name=storage.get_study_name_from_id(number), storage=storage)
        self._given = list(trials)

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials, never copies: nobody writes to them."""
        return [trial for trial in self._given if states is None or trial.state in states]


def with_losses(judged: JudgedTrials, stored: Mapping[int, FrozenTrial]) -> list[FrozenTrial]:
    """Return judged trials as complete ones whose value is their loss. stored: by number."""
    found = []
    for trial in judged.trials:
        complete = copy(stored[trial.number])
        complete.state = TrialState.COMPLETE
        complete.values = [-judged.goal.sign * judged.values[trial.number]]
        found.append(complete)
    return found
