"""The one door to Optuna: a stored study, and an in-memory view of it that samples.

The stored study is what users open with `optuna.load_study` and the dashboard. Points are
drawn from the view, which holds the same trials: a point that breaks a rule is thrown away
there and never becomes a trial, and sampling does not wait for the database.
"""

import json
import logging
import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from tunewright.config.schema import Random, Tpe
from tunewright.errors import StudyError, did_you_mean
from tunewright.runs.record import StudyRecord, Trial
from tunewright.runs.record import TrialState as State
from tunewright.spaces.domain import Categorical, Domain, Float, canonical
from tunewright.spaces.sample import draw
from tunewright.spaces.space import Parameter, Space

CONSTRAINT = "failure"
"""Constraint key on every trial: 1 for divergence and lack of memory, 0 otherwise."""
REJECTIONS = 100
"""Points that may break a rule before one is drawn uniformly instead of by the sampler."""
OURS = "tunewright"
"""User attribute that marks a study as ours and holds its settings."""
LEASE = "coordinator"
"""User attribute with the last sign of life of a coordinator."""
OURS_TO_RUN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
"""Not WAITING: a point that another program enqueued is no trial of ours."""


@dataclass(frozen=True)
class Settings:
    """What is stored with a study, so that resuming continues the same search.

    configuration: the flat explore-stage configuration that all trials share.
    """

    recipe: str
    goal: str
    metric: str
    direction: Literal["max", "min"]
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any]
    space: Mapping[str, Any]
    configuration: Mapping[str, Any]
    seed: int


class Study:
    """One search. Only the coordinator that holds it writes to its storage."""

    def __init__(self, url: str, name: str, settings: Settings, space: Space) -> None:
        self.url, self.name, self.settings, self.space = url, name, settings, space
        self._storage = open_storage(url)
        with _storage_errors(url):
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=name,
                direction="maximize" if settings.direction == "max" else "minimize",
                load_if_exists=True,
            )
            self._id = self._storage.get_study_id_from_name(name)
            self._study.set_user_attr(OURS, json.dumps(_jsonable(settings)))
            stored = self._study.get_trials(deepcopy=False, states=OURS_TO_RUN)
        self._trial_ids = {t.number: t._trial_id for t in stored}
        self.count = len(stored)
        self._memory = InMemoryStorage()
        self._view = optuna.create_study(
            storage=self._memory,
            # A seed used again after a resume would propose the first points again.
            sampler=_sampler(settings.sampler, settings.seed + 1_000_003 * self.count),
            direction="maximize" if settings.direction == "max" else "minimize",
        )
        self._view_id = self._memory.get_study_id_from_name(self._view.study_name)
        self._view_trials: dict[int, int] = {}
        self.curves: dict[int, dict[int, float]] = {}
        for trial in stored:
            self._mirror(trial)

    def ask(self) -> tuple[int, dict[str, Any]]:
        """A new trial: its number and its parameters; stored as running before this returns."""
        values = self.space.default() if self.count == 0 else None
        view_trial = None
        if values is None:
            values, view_trial = self._sampled()
        template = create_trial(
            state=TrialState.RUNNING,
            params={path: _encoded(self.space[path].domain, v) for path, v in values.items()},
            distributions={path: distribution(self.space[path].domain) for path in values},
        )
        if view_trial is None:
            view_trial = self._memory.create_new_trial(self._view_id, template)
        with _storage_errors(self.url):
            trial_id = self._storage.create_new_trial(self._id, template)
            number = self._storage.get_trial_number_from_id(trial_id)
        self._trial_ids[number], self._view_trials[number] = trial_id, view_trial
        self.curves[number] = {}
        self.count += 1
        return number, values

    def report(self, number: int, step: int, value: float) -> None:
        """Store an intermediate value; one that is already stored at this step stays."""
        if step in self.curves[number] or value != value:
            return
        with _storage_errors(self.url):
            self._storage.set_trial_intermediate_value(self._trial_ids[number], step, value)
        self._memory.set_trial_intermediate_value(self._view_trials[number], step, value)
        self.curves[number][step] = value

    def tell(
        self,
        number: int,
        state: State,
        score: float | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """End a trial. `infeasible` violates a constraint, so that the sampler learns from it.

        Telling twice is harmless: the first stands.
        """
        optuna_state, values = _told(state, score, self.curves[number])
        with _storage_errors(self.url):
            trial_id = self._trial_ids[number]
            if self._storage.get_trial(trial_id).state.is_finished():
                return
            for key, value in (attributes or {}).items():
                self._storage.set_trial_user_attr(trial_id, key, value)
            _constrain(self._study, trial_id, state)
            self._storage.set_trial_state_values(trial_id, optuna_state, values)
        view_id = self._view_trials[number]
        _constrain(self._view, view_id, state)
        self._memory.set_trial_state_values(view_id, optuna_state, values)

    def running(self) -> list[tuple[int, dict[str, Any]]]:
        """Trials that were begun and not ended: their numbers and parameters."""
        with _storage_errors(self.url):
            trials = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [(t.number, _decoded_params(t)) for t in trials]

    def record(self) -> StudyRecord:
        """The study as plain values."""
        return _record(self._study, self.settings)

    def lease(self) -> Mapping[str, Any]:
        """The last sign of life of a coordinator; empty when none is at work."""
        with _storage_errors(self.url):
            return _lease(self._study)

    def set_lease(self, lease: Mapping[str, Any]) -> None:
        """Store a sign of life."""
        with _storage_errors(self.url):
            self._study.set_user_attr(LEASE, dict(lease))

    def close(self) -> None:
        """Let go of the database."""
        self._storage.remove_session()
        if isinstance(self._storage, RDBStorage):
            self._storage.engine.dispose()

    def _sampled(self) -> tuple[dict[str, Any], int | None]:
        for _ in range(REJECTIONS):
            trial = self._view.ask()
            values = self.space.draw(lambda p, trial=trial: _suggested(trial, p))  # type: ignore[misc]
            if self.space.broken_rule(values) is None:
                return values, trial._trial_id
            self._view.tell(trial, state=TrialState.FAIL)
        values_or_none = draw(self.space, random.Random(self.settings.seed + self.count))
        if values_or_none is None:
            raise StudyError("the forbid rules leave no combination that a draw could find")
        return values_or_none, None

    def _mirror(self, trial: FrozenTrial) -> None:
        view_id = self._memory.create_new_trial(self._view_id, trial)
        self._view_trials[trial.number] = view_id
        self.curves[trial.number] = dict(trial.intermediate_values)


def absolute_url(url: str) -> str:
    """The URL with a SQLite file's whole path, so that it means the same from everywhere."""
    file = _sqlite_file(url)
    return url if file is None else url.replace(str(file), str(file.resolve()), 1)


def open_storage(url: str) -> RDBStorage:
    """A storage by URL; StudyError, with the remedy, when it cannot be reached."""
    if "://" not in url:
        raise StudyError(
            f"storage {url!r}",
            expected="a database URL",
            remedy="For example sqlite:///study.db or postgresql://user@host/name.",
        )
    if (file := _sqlite_file(url)) is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StudyError(
                f"storage {url}: {file.parent} cannot be made ({error.strerror})"
            ) from None
    with _storage_errors(url), _quiet():
        if url.startswith("sqlite"):
            return RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})


def stored_settings(url: str, name: str) -> Settings | None:
    """What is stored under `name`; None when no such study exists.

    Raises StudyError for a study that Tunewright did not make.
    """
    attributes = _attributes(url, name)
    if attributes is None:
        return None
    if OURS not in attributes:
        raise StudyError(
            f"the study {name!r} in {url} was made by another program",
            remedy="Choose another --name.",
        )
    return Settings(**json.loads(attributes[OURS]))


def stored_lease(url: str, name: str) -> Mapping[str, Any]:
    """The last sign of life of a coordinator of this study; empty when none is at work."""
    lease: Mapping[str, Any] = (_attributes(url, name) or {}).get(LEASE) or {}
    return lease


def load_record(url: str, name: str | None) -> tuple[StudyRecord, dict[str, float]]:
    """A study at rest and the importance of its parameters, read without a lock.

    name: may be None when the storage holds one study. Importances are PED-ANOVA (Watanabe
    et al. 2023) over the completed trials; empty when there are too few.
    """
    file = _sqlite_file(url)
    if file is not None and not file.exists():
        raise StudyError(f"{file} does not exist", expected="the database of a study")
    storage = open_storage(url)
    try:
        with _storage_errors(url):
            names = optuna.get_all_study_names(storage)
            chosen = name or (names[0] if len(names) == 1 else None)
            if chosen is None or chosen not in names:
                raise StudyError(
                    f"study {name!r} in {url}" if name else f"no study is named, and {url}",
                    expected=f"one of {', '.join(names) or 'none'}",
                    remedy=did_you_mean(name or "", names) or "Name it with --name.",
                )
            study = optuna.load_study(study_name=chosen, storage=storage)
            attributes = study.user_attrs
            settings = Settings(**json.loads(attributes[OURS])) if OURS in attributes else None
            return _record(study, settings), _importances(study)
    finally:
        storage.engine.dispose()


def distribution(domain: Domain) -> BaseDistribution:
    """Optuna's word for a domain."""
    if isinstance(domain, Categorical):
        return CategoricalDistribution([_encoded(domain, choice) for choice in domain.choices])
    if isinstance(domain, Float):
        return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)
    return IntDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def _attributes(url: str, name: str) -> Mapping[str, Any] | None:
    """The user attributes of a stored study; a look leaves no empty database behind."""
    file = _sqlite_file(url)
    if file is not None and not file.exists():
        return None
    storage = open_storage(url)
    try:
        with _storage_errors(url):
            if name not in optuna.get_all_study_names(storage):
                return None
            return optuna.load_study(study_name=name, storage=storage).user_attrs
    finally:
        storage.engine.dispose()


def _sqlite_file(url: str) -> Path | None:
    """The file behind a SQLite URL; None for other databases and for one in memory."""
    path = url.removeprefix("sqlite:///").partition("?")[0]
    return Path(path) if url.startswith("sqlite:///") and path not in ("", ":memory:") else None


def _suggested(trial: optuna.Trial, parameter: Parameter) -> Any:
    path, domain = parameter.path, parameter.domain
    if isinstance(domain, Categorical):
        choices = [_encoded(domain, choice) for choice in domain.choices]
        return domain.choices[choices.index(trial.suggest_categorical(path, choices))]
    if isinstance(domain, Float):
        return trial.suggest_float(path, domain.low, domain.high, log=domain.log, step=domain.step)
    return trial.suggest_int(path, domain.low, domain.high, log=domain.log, step=domain.step)


def _encoded(domain: Domain, value: Any) -> Any:
    """Choices that Optuna cannot store, or would take for equal, become JSON texts."""
    if not isinstance(domain, Categorical) or _plain(domain):
        return value
    return canonical(value)


def _plain(domain: Categorical) -> bool:
    scalar = all(isinstance(c, str | int | float | None) for c in domain.choices)
    return scalar and len(set(domain.choices)) == len(domain.choices)


def _decoded_params(trial: FrozenTrial) -> dict[str, Any]:
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


def _told(
    state: State, score: float | None, curve: Mapping[int, float]
) -> tuple[TrialState, list[float] | None]:
    if state == "done" and score is not None:
        return TrialState.COMPLETE, [score]
    if state in ("pruned", "infeasible"):
        return TrialState.PRUNED, [curve[max(curve)]] if curve else None
    return TrialState.FAIL, None


def _constrain(study: optuna.Study, trial_id: int, state: State) -> None:
    """The same key on every trial; a kill may have come between it and the trial's state."""
    trial = optuna.trial.Trial(study, trial_id)
    if CONSTRAINT not in trial.constraints:
        trial.set_constraint(CONSTRAINT, 1.0 if state == "infeasible" else 0.0)


def _lease(study: optuna.Study) -> Mapping[str, Any]:
    lease: Mapping[str, Any] = study.user_attrs.get(LEASE) or {}
    return lease


def _sampler(settings: Mapping[str, Any], seed: int) -> BaseSampler:
    kind = settings["type"]
    with _quiet():
        if kind == Tpe().type:
            return TPESampler(
                n_startup_trials=settings["startup_trials"],
                multivariate=True,
                group=True,  # keeps the joint model inside conditional branches
                constant_liar=True,
                seed=seed,
            )
        assert kind == Random().type
        return RandomSampler(seed=seed)


def _record(study: optuna.Study, settings: Settings | None) -> StudyRecord:
    trials = study.get_trials(deepcopy=False, states=OURS_TO_RUN)
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
        parameters=_decoded_params(trial),
        score=trial.value if trial.state == TrialState.COMPLETE else None,
        curve=dict(sorted(trial.intermediate_values.items())),
        cause=attributes.get("cause", ""),
        reason=attributes.get("reason", ""),
        seconds=trial.duration.total_seconds() if trial.duration else None,
    )


def _importances(study: optuna.Study) -> dict[str, float]:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < 2:
        return {}
    with _quiet():
        try:
            return dict(optuna.importance.get_param_importances(study))
        except (ValueError, RuntimeError, ZeroDivisionError):
            return {}  # too few trials above the evaluator's quantile


def _jsonable(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in Settings.__dataclass_fields__}


@contextmanager
def _storage_errors(url: str) -> Iterator[None]:
    try:
        yield
    except (StorageInternalError, SQLAlchemyError, ImportError) as error:
        cause = str(error.__cause__ or error).strip().splitlines()[0]
        raise StudyError(
            f"the storage {_without_password(url)} does not answer: {cause}",
            remedy="Every finished trial is in the run folders. Bring the storage back and type "
            "the same command again.",
        ) from error


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    scheme, _, user = head.partition("://")
    return f"{scheme}://{user.partition(':')[0]}@{tail}" if at else url


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna's notices about experimental parts are for us, not for the user."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            yield
        finally:
            logger.setLevel(level)


def silence_optuna() -> None:
    """No INFO lines from Optuna: progress is shown by Tunewright, unless all is asked for."""
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
