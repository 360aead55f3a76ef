"""Trials of earlier studies as plain values, and as trials of a new one."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from tunewright.runs.record import TrialState as State
from tunewright.search.recovery.lost_rows import count_lost_trials
from tunewright.search.recovery.trial_from_folder import placeholder
from tunewright.search.storage.database import (
    Settings,
    close_storage,
    open_storage,
    quiet,
    settings_in,
    storage_to_read,
)
from tunewright.search.storage.database_errors import storage_errors
from tunewright.search.study.optuna_types import DROPPED, as_ours, distribution, encode, record_of
from tunewright.search.study.trial_tags import retag
from tunewright.spaces.space import Space

ORIGINAL = "dropped_trial"
"""User attribute beside `placeholder_of`: the original trial, in case its space comes back."""


@dataclass(frozen=True)
class StoredTrial:
    """A trial as it is stored, without the space that it was drawn from.

    stored_state: Optuna's name for it. began, ended: in ISO 8601.
    """

    number: int
    state: State
    stored_state: str
    parameters: Mapping[str, Any]
    values: tuple[float, ...] | None = None
    curve: Mapping[int, float] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)
    began: str | None = None
    ended: str | None = None

    @property
    def diverged(self) -> bool:
        """Whether it ended with a score or a loss that is not finite."""
        return self.attributes.get("cause") == "diverged"


@dataclass(frozen=True)
class StoredStudy:
    """A study as it is stored.

    settings: None for one of another program. directions: `max` or `min`, for each goal. gaps:
    numbers without a trial, and why. count: of all numbers. neighbours: all studies of the storage,
    this one too. lost: how many trials the storage has lost, as far as it tells.
    """

    name: str
    settings: Settings | None
    directions: tuple[str, ...]
    trials: tuple[StoredTrial, ...]
    gaps: Mapping[int, str]
    count: int
    attributes: Mapping[str, Any]
    neighbours: tuple[str, ...]
    lost: int = 0


def stored_study(url: str, name: str) -> StoredStudy:
    """Return a study of one of our storages; raise StudyError if that is unavailable."""
    with storage_to_read(url) as storage:
        assert storage is not None, "the study was read a moment ago"
        return study_in(storage, name)


def study_in(storage: BaseStorage, name: str) -> StoredStudy:
    """Return the study of that name in an open storage."""
    study = optuna.load_study(study_name=name, storage=storage)
    attributes = study.user_attrs
    settings = settings_in(attributes)
    return StoredStudy(
        name,
        settings,
        tuple("max" if d == StudyDirection.MAXIMIZE else "min" for d in study.directions),
        tuple(stored_trials_of(study, settings)),
        _gaps(study),
        len(study.get_trials(deepcopy=False)),
        attributes,
        tuple(optuna.get_all_study_names(storage)),
        count_lost_trials(study, storage),
    )


def attributes_of(url: str, name: str) -> Mapping[str, Any]:
    """Return the user attributes of a study in one of our storages."""
    with storage_to_read(url) as storage:
        assert storage is not None, "the study was read a moment ago"
        return dict(optuna.load_study(study_name=name, storage=storage).user_attrs)


def set_study_attr(url: str, name: str, key: str, value: Any) -> None:
    """Write an attribute into a stored study."""
    storage = open_storage(url)
    try:
        with storage_errors(url):
            optuna.load_study(study_name=name, storage=storage).set_user_attr(key, value)
    finally:
        close_storage(url, storage)


def stored_trials_of(study: optuna.Study, settings: Settings | None) -> list[StoredTrial]:
    """Return the trials of a study by number, also those that a change of space replaced.

    Points that another program enqueued and that were never begun are skipped. Without settings,
    parameters are returned as stored, since their meaning is unknown.
    """
    ours = settings is not None
    known = {trial.number: trial for trial in record_of(study, settings).trials}
    old_trials = []
    for stored in study.get_trials(deepcopy=False):
        trial = as_ours(stored, ours=ours)
        if ORIGINAL in trial.user_attrs:
            was = dict(trial.user_attrs[ORIGINAL])
            was["curve"] = {int(step): value for step, value in was["curve"].items()}
            was["values"] = None if was["values"] is None else tuple(was["values"])
            old_trials.append(StoredTrial(**was))
        elif trial.number in known:
            old_trials.append(
                StoredTrial(
                    trial.number,
                    known[trial.number].state,
                    trial.state.name,
                    known[trial.number].parameters if ours else dict(trial.params),
                    None if trial.values is None else tuple(trial.values),
                    dict(trial.intermediate_values),
                    dict(trial.user_attrs),
                    dict(trial.constraints),
                    _text(trial.datetime_start),
                    _text(trial.datetime_complete),
                )
            )
    return old_trials


def _gaps(study: optuna.Study) -> dict[int, str]:
    """Return the numbers whose trial was lost or never begun, with the reason."""
    gaps = {}
    for trial in study.get_trials(deepcopy=False):
        if DROPPED in trial.user_attrs and ORIGINAL not in trial.user_attrs:
            gaps[trial.number] = str(trial.user_attrs[DROPPED])
        elif trial.state == TrialState.WAITING:
            gaps[trial.number] = "enqueued by another program, and never begun"
    return gaps


def import_trial(
    old: StoredTrial, space: Space, values: Mapping[str, Any], attributes: Mapping[str, Any]
) -> FrozenTrial:
    """Return the trial in a new study, with its parameters there and additional `attributes`."""
    with quiet():  # Optuna warns about bounds beside the grid
        drawn = {path: distribution(space[path].domain) for path in values}
        params = {path: encode(space[path].domain, value) for path, value in values.items()}
        trial = create_trial(
            state=TrialState[old.stored_state],
            values=old.values,
            params={path: _clip_to_bounds(drawn[path], value) for path, value in params.items()},
            distributions=drawn,
            intermediate_values=dict(old.curve),
            constraints=dict(old.constraints),
            user_attrs={**retag(space, values, old.attributes), **attributes},
        )
    return _with_dates(trial, old)


def _clip_to_bounds(drawn: BaseDistribution, value: Any) -> Any:
    """Clip a number on our grid that exceeds Optuna's bounds by a rounding."""
    return min(max(value, drawn.low), drawn.high) if isinstance(drawn, FloatDistribution) else value


def placeholder_of(old: StoredTrial, why: str) -> FrozenTrial:
    """Return a placeholder that keeps the number of a trial that does not fit, and stores it."""
    trial = placeholder(why)
    trial.set_user_attr(ORIGINAL, asdict(old))
    return _with_dates(trial, old)


def _with_dates(trial: FrozenTrial, old: StoredTrial) -> FrozenTrial:
    if old.began is not None:
        trial.datetime_start = datetime.fromisoformat(old.began)
    if trial.state.is_finished():
        ended = old.ended or old.began
        trial.datetime_complete = None if ended is None else datetime.fromisoformat(ended)
        trial.datetime_complete = trial.datetime_complete or trial.datetime_start
    return trial


def _text(date: datetime | None) -> str | None:
    return None if date is None else date.isoformat()
