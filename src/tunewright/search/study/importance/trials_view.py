"""A study of chosen trials, for Optuna's evaluators, which take whole studies."""

from collections.abc import Container, Sequence

import optuna
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


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
        """Return all of the trials: pruned ones count as complete. Never copies."""
        return self._given
