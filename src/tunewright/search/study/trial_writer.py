"""Store the begin, reports and end of trials, each in one transaction.

Optuna's methods load a trial again before every change and change one thing at a time, which takes
most of the overhead of a short trial. For a SQLite file of a layout known here the same rows are
written directly; any other storage goes through Optuna's methods.
"""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import optuna
from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    distribution_to_json,
    json_to_distribution,
)
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import Connection

from tunewright.search.study.optuna_types import End

LAYOUTS = ("v3.2.0.a",)
"""Versions of Optuna's tables whose rows are known here; each file stores its version."""

PARAMETERS = "trial_params (trial_id, param_name, param_value, distribution_json)"


class TrialWriter(Protocol):
    """Writes trials of one study. Only one coordinator does so at a time."""

    def begin(self, template: FrozenTrial) -> tuple[int, int]:
        """Store a new trial; return its id in the storage and its number in the study."""
        ...

    def suggest(self, trial_id: int, name: str, domain: BaseDistribution, value: Any) -> None:
        """Store a parameter that a running trial got after its begin."""
        ...

    def report(self, trial_id: int, step: int, value: float) -> None:
        """Store an intermediate value."""
        ...

    def mark(self, trial_id: int, key: str, value: Any) -> None:
        """Store a user attribute of a running trial."""
        ...

    def end(self, trial_id: int, end: End) -> bool:
        """Store the end of a trial; write nothing and return False when it has ended before.

        Of each constraint the first value stands, as in Optuna.
        """
        ...


def writer(study: optuna.Study, storage: RDBStorage, study_id: int) -> TrialWriter:
    """Return the fastest writer that works for the storage."""
    if storage.engine.name == "sqlite" and _layout(storage) in LAYOUTS:
        return RowWriter(storage, study_id)
    return MethodWriter(study, storage, study_id)


class MethodWriter:
    """Writes through Optuna's methods: works for every database, one transaction per call."""

    def __init__(self, study: optuna.Study, storage: RDBStorage, study_id: int) -> None:
        self._study, self._storage, self._study_id = study, storage, study_id

    def begin(self, template: FrozenTrial) -> tuple[int, int]:
        """Store a new trial; see `TrialWriter`."""
        trial_id = self._storage.create_new_trial(self._study_id, template)
        return trial_id, self._storage.get_trial_number_from_id(trial_id)

    def suggest(self, trial_id: int, name: str, domain: BaseDistribution, value: Any) -> None:
        """Store a parameter; see `TrialWriter`."""
        stored = domain.to_internal_repr(value)
        self._storage.set_trial_param(trial_id, name, stored, domain)

    def report(self, trial_id: int, step: int, value: float) -> None:
        """Store an intermediate value; see `TrialWriter`."""
        self._storage.set_trial_intermediate_value(trial_id, step, value)

    def mark(self, trial_id: int, key: str, value: Any) -> None:
        """Store a user attribute; see `TrialWriter`."""
        self._storage.set_trial_user_attr(trial_id, key, value)

    def end(self, trial_id: int, end: End) -> bool:
        """End a trial; a kill in between leaves only attributes, which are written again."""
        if self._storage.get_trial(trial_id).state.is_finished():
            return False
        for key, value in end.attributes.items():
            self._storage.set_trial_user_attr(trial_id, key, value)
        trial = optuna.trial.Trial(self._study, trial_id)
        stored = trial.constraints
        for key, amount in end.constraints.items():
            if key not in stored:
                trial.set_constraint(key, amount)
        self._storage.set_trial_state_values(trial_id, end.state, end.values)
        return True


class RowWriter:
    """Writes rows into the tables of a SQLite file, one transaction per call."""

    def __init__(self, storage: RDBStorage, study_id: int) -> None:
        self._engine, self._study_id = storage.engine, study_id
        self._texts: dict[tuple[str, BaseDistribution], str] = {}

    def begin(self, template: FrozenTrial) -> tuple[int, int]:
        """Store a new trial. Raises ValueError for a domain that contradicts the stored one."""
        assert template.state == TrialState.RUNNING, "a trial begins by running"
        with self._engine.begin() as connection:
            # The first statement takes the lock, so that the number counted below is ours.
            added = connection.exec_driver_sql(
                "INSERT INTO trials (study_id, state, datetime_start) VALUES (?, 'RUNNING', ?)",
                (self._study_id, _utc(template.datetime_start)),
            )
            trial_id = int(added.lastrowid)
            number = connection.exec_driver_sql(
                "SELECT COUNT(*) FROM trials WHERE study_id = ? AND trial_id < ?",
                (self._study_id, trial_id),
            ).scalar_one()
            connection.exec_driver_sql(
                "UPDATE trials SET number = ? WHERE trial_id = ?", (number, trial_id)
            )
            rows = []
            for name, value in template.params.items():
                domain = template.distributions[name]
                text = self._text(connection, name, domain)
                rows.append((trial_id, name, domain.to_internal_repr(value), text))
            _add(connection, PARAMETERS, rows)
            for table in ("user", "system"):
                given = getattr(template, f"{table}_attrs")
                _attributes(connection, table, trial_id, given)
        return trial_id, int(number)

    def suggest(self, trial_id: int, name: str, domain: BaseDistribution, value: Any) -> None:
        """Store a parameter; see `TrialWriter`."""
        with self._engine.begin() as connection:
            text = self._text(connection, name, domain)
            _add(connection, PARAMETERS, [(trial_id, name, domain.to_internal_repr(value), text)])

    def report(self, trial_id: int, step: int, value: float) -> None:
        """Store an intermediate value; see `TrialWriter`."""
        with self._engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT OR REPLACE INTO trial_intermediate_values (trial_id, step, "
                "intermediate_value, intermediate_value_type) VALUES (?, ?, ?, ?)",
                (trial_id, step, *_number(value)),
            )

    def mark(self, trial_id: int, key: str, value: Any) -> None:
        """Store a user attribute; see `TrialWriter`."""
        with self._engine.begin() as connection:
            _attributes(connection, "user", trial_id, {key: value})

    def end(self, trial_id: int, end: End) -> bool:
        """Store the end of a trial; see `TrialWriter`."""
        with self._engine.begin() as connection:
            ended = connection.exec_driver_sql(
                "UPDATE trials SET state = ?, datetime_complete = ? "
                "WHERE trial_id = ? AND state = 'RUNNING'",
                (end.state.name, _utc(datetime.now()), trial_id),
            )
            if ended.rowcount == 0:
                return False
            rows = [(trial_id, i, *_number(value)) for i, value in enumerate(end.values or ())]
            _add(connection, "trial_values (trial_id, objective, value, value_type)", rows)
            _attributes(connection, "user", trial_id, end.attributes)
            _constraints(connection, trial_id, end.constraints)
        return True

    def _text(self, connection: Connection, name: str, domain: BaseDistribution) -> str:
        """Return a domain as it is stored, checked against the stored ones once a session."""
        known = self._texts.get((name, domain))
        if known is not None:
            return known
        stored = connection.exec_driver_sql(
            "SELECT distribution_json FROM trial_params JOIN trials USING (trial_id) "
            "WHERE study_id = ? AND param_name = ? LIMIT 1",
            (self._study_id, name),
        ).scalar_one_or_none()
        if stored is not None:
            check_distribution_compatibility(json_to_distribution(stored), domain)
        return self._texts.setdefault((name, domain), distribution_to_json(domain))


def _layout(storage: RDBStorage) -> str | None:
    with storage.engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
        ).scalar_one_or_none()
        if found is None:
            return None
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if version is None else str(version)


def _add(connection: Connection, where: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        connection.exec_driver_sql(f"INSERT INTO {where} VALUES ({marks})", rows)


def _attributes(
    connection: Connection, table: str, trial_id: int, attributes: Mapping[str, Any]
) -> None:
    for key, value in attributes.items():
        connection.exec_driver_sql(
            f"INSERT OR REPLACE INTO trial_{table}_attributes (trial_id, key, value_json) "
            "VALUES (?, ?, ?)",
            (trial_id, key, json.dumps(value)),
        )


def _constraints(connection: Connection, trial_id: int, constraints: Mapping[str, float]) -> None:
    for key, value in constraints.items():
        connection.exec_driver_sql(
            "INSERT OR IGNORE INTO trial_system_attributes (trial_id, key, value_json) "
            "VALUES (?, ?, ?)",
            (trial_id, f"constraints:{key}", json.dumps(float(value))),
        )


def _number(value: float) -> tuple[float | None, str]:
    """Return a number and its kind; the column holds no NaN in SQLite and no infinity in Optuna."""
    if math.isfinite(value):
        return float(value), "FINITE"
    return None, "NAN" if value != value else "INF_POS" if value > 0 else "INF_NEG"


def _utc(moment: datetime | None) -> str | None:
    """Return local time, which Optuna uses, as UTC text for the column."""
    if moment is None:
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
