"""An Optuna database that retries its calls while a server is unavailable.

A retried call may have succeeded before, when only the answer was lost. So each write must be
harmless when it is done twice: values and attributes replace themselves; a new trial and the end of
a trial are looked up before they are written again.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
SAME_TRIAL_SECONDS = 1.0
"""Two trials with equal parameters that begin within this many seconds are the same trial."""

P = ParamSpec("P")
R = TypeVar("R")


class ServerUnavailable(Exception):
    """The server did not answer. Not an SQLAlchemy error, so that Optuna does not retry."""


def _retrying(
    method: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate["RetryingStorage", P], R]:
    def call(self: "RetryingStorage", /, *arguments: P.args, **named: P.kwargs) -> R:
        return self.retry(lambda: method(self, *arguments, **named))

    return call


class RetryingStorage(RDBStorage):
    """Optuna's database. seconds: how long to wait for a server. on_notice: called while waiting.

    Raises StorageInternalError when the server stays unavailable, and from then on at once.
    """

    def __init__(
        self,
        url: str,
        *,
        seconds: float,
        on_notice: Callable[[str], None],
        engine_kwargs: Mapping[str, Any],
        skip_table_creation: bool = False,
    ) -> None:
        super().__init__(
            url, engine_kwargs=dict(engine_kwargs), skip_table_creation=skip_table_creation
        )
        self._seconds, self._on_notice = seconds, on_notice
        self._begun: set[int] = set()
        if seconds > 0.0:  # only now: a server that never answered is a wrong URL
            event.listen(self.engine, "handle_error", rename_error)

    def retry(self, call: Callable[[], R]) -> R:
        """Call `call` and return its answer, retrying while the server is unavailable."""
        began: float | None = None
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                answer = call()
            except ServerUnavailable as away:
                cause = away.__cause__
                now = time.monotonic()
                if began is None:
                    began = now
                    if self._seconds > 0.0:
                        self._on_notice(
                            f"the storage does not answer ({first_line(cause)}); running trials "
                            f"continue in their folders, retrying for {self._seconds:g} s"
                        )
                left = began + self._seconds - now
                if left <= 0.0:
                    self._seconds = 0.0  # later calls fail at once
                    raise StorageInternalError(first_line(cause)) from cause
                time.sleep(min(pause, left))
                pause = min(2.0 * pause, LONGEST_PAUSE_SECONDS)
                continue
            if began is not None:
                self._on_notice(f"the storage answers again after {time.monotonic() - began:.0f} s")
            return answer

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial as Optuna does, unless an attempt whose answer was lost already did."""
        attempts = 0

        def create() -> int:
            nonlocal attempts
            attempts += 1
            found = self._find_same_trial(study_id, template_trial) if attempts > 1 else None
            if found is not None:
                return found
            return RDBStorage.create_new_trial(self, study_id, template_trial)

        trial_id = self.retry(create)
        self._begun.add(trial_id)
        return trial_id

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Set the state as Optuna does, unless an attempt whose answer was lost already did."""
        attempts = 0

        def tell() -> bool:
            nonlocal attempts
            attempts += 1
            try:
                return RDBStorage.set_trial_state_values(self, trial_id, state, values)
            except UpdateFinishedTrialError:
                if attempts > 1 and RDBStorage.get_trial(self, trial_id).state == state:
                    return True
                raise

        return self.retry(tell)

    def _find_same_trial(self, study_id: int, template: FrozenTrial | None) -> int | None:
        """Return the trial stored from this template by an attempt whose answer was lost."""
        if template is None or template.datetime_start is None:
            return None
        for trial in RDBStorage.get_all_trials(self, study_id, deepcopy=False):
            if (
                trial._trial_id not in self._begun
                and trial.state == template.state
                and trial.params == template.params
                and trial.datetime_start is not None
                and abs((trial.datetime_start - template.datetime_start).total_seconds())
                < SAME_TRIAL_SECONDS
            ):
                return trial._trial_id
        return None

    create_new_study = _retrying(RDBStorage.create_new_study)
    get_all_studies = _retrying(RDBStorage.get_all_studies)
    get_study_id_from_name = _retrying(RDBStorage.get_study_id_from_name)
    get_study_name_from_id = _retrying(RDBStorage.get_study_name_from_id)
    get_study_directions = _retrying(RDBStorage.get_study_directions)
    get_study_user_attrs = _retrying(RDBStorage.get_study_user_attrs)
    get_study_system_attrs = _retrying(RDBStorage.get_study_system_attrs)
    set_study_user_attr = _retrying(RDBStorage.set_study_user_attr)
    set_study_system_attr = _retrying(RDBStorage.set_study_system_attr)
    get_all_trials = _retrying(RDBStorage.get_all_trials)
    get_trial = _retrying(RDBStorage.get_trial)
    set_trial_intermediate_value = _retrying(RDBStorage.set_trial_intermediate_value)
    set_trial_user_attr = _retrying(RDBStorage.set_trial_user_attr)
    set_trial_system_attr = _retrying(RDBStorage.set_trial_system_attr)
    _get_trials = _retrying(RDBStorage._get_trials)  # called by Optuna's cache


def first_line(error: object) -> str:
    """Return the message of a database error, without its statement and parameters."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def rename_error(context: ExceptionContext) -> ServerUnavailable | None:
    """Return ServerUnavailable for a lost or refused connection; None for a wrong statement."""
    error = context.sqlalchemy_exception
    lost = context.is_disconnect or isinstance(
        error, OperationalError | InterfaceError | InternalError
    )
    if not lost or context.is_pre_ping:
        return None
    away = ServerUnavailable(str(error))
    away.__cause__ = error
    return away
