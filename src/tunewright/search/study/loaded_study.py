"""Read a whole study as plain values: trials, domains, importances, settings."""

from dataclasses import dataclass

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tunewright.errors import SpaceError
from tunewright.runs.record import StudyRecord
from tunewright.search.storage.database import (
    Settings,
    choose_study,
    settings_in,
    storage_to_read,
)
from tunewright.search.storage.urls import without_password
from tunewright.search.study.importances import ImportanceSource, source_of
from tunewright.search.study.optuna_types import OURS_TO_RUN, decode, record_of
from tunewright.spaces.domain import Categorical, Domain, Float, Int
from tunewright.spaces.space import Parameter


@dataclass(frozen=True)
class LoadedStudy:
    """A stored study as plain values.

    importance_source: to ask for importances. parameters: what was searched, without conditions.
    settings: None for a study of another program.
    """

    record: StudyRecord
    importance_source: ImportanceSource
    parameters: tuple[Parameter, ...]
    settings: Settings | None

    @property
    def importances(self) -> dict[str, float]:
        """Importances for the first goal; empty where the trials cannot tell them."""
        return self.importance_source.shares


def load_study(url: str, name: str | None) -> LoadedStudy:
    """Return a stored study, without taking a lock.

    name: may be None when the storage holds one study.
    """
    with storage_to_read(url) as storage:
        chosen = choose_study(storage, name, without_password(url), "Name it with --name.")
        assert storage is not None  # a study was found in it
        study = optuna.load_study(study_name=chosen, storage=storage)
        settings = settings_in(study.user_attrs)
        record = record_of(study, settings)
        parameters = _parameters(study)
        source = source_of(study, record, parameters)
        return LoadedStudy(record, source, parameters, settings)


def _parameters(study: optuna.Study) -> tuple[Parameter, ...]:
    """Return the parameters of a study, each with the domain of the last trial that has it."""
    found: dict[str, Parameter] = {}
    for trial in reversed(study.get_trials(deepcopy=False, states=OURS_TO_RUN)):
        for path in trial.distributions.keys() - found.keys():
            if (domain := _domain(trial.distributions[path])) is not None:
                found[path] = Parameter(path, domain)
    return tuple(found.values())


def _domain(stored: BaseDistribution) -> Domain | None:
    """Return the domain of a distribution; None where its choices cannot be told apart."""
    try:
        if isinstance(stored, CategoricalDistribution):
            return Categorical(tuple(decode(stored, choice) for choice in stored.choices))
        if isinstance(stored, FloatDistribution):
            return Float(stored.low, stored.high, stored.log, stored.step)
        if isinstance(stored, IntDistribution):
            return Int(stored.low, stored.high, stored.log, stored.step)
    except (SpaceError, TypeError):
        return None
    return None
