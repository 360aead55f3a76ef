"""Publish a study in its database whole, in one transaction, or not at all.

It is filled in memory and copied row by row: a kill at any moment leaves the former content.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import BaseModel
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, Table, delete, insert, select, update

from tunewright.errors import StudyError
from tunewright.runs.atomic import write_with
from tunewright.runs.sqlite_url import sqlite_url
from tunewright.search.storage.database import OURS, Settings, close_storage, open_storage, quiet
from tunewright.search.storage.database_errors import storage_errors
from tunewright.search.study.optuna_types import direction

TABLES: Mapping[str, Table] = BaseModel.metadata.tables
STUDIES, TRIALS = TABLES["studies"], TABLES["trials"]


def publish(
    url: str,
    name: str,
    settings: Settings,
    trials: Sequence[FrozenTrial],
    attributes: Mapping[str, Any],
    *,
    former: str | None = None,
) -> None:
    """Store a study with these trials, numbered in order.

    attributes: user attributes besides the settings. former: the new name of the study that is
    called `name` now; empty to delete it, when a copy is kept elsewhere. Raises StudyError when
    another process was faster.
    """
    memory = RDBStorage("sqlite://")
    try:
        _fill(memory, name, settings, trials, attributes)
        target = open_storage(url)
        try:
            with (
                storage_errors(url),
                memory.engine.connect() as source,
                target.engine.begin() as connection,
            ):
                _make_room(connection, name, former)
                copy_tables(source, connection)
        finally:
            close_storage(url, target)
    finally:
        memory.remove_session()
        memory.engine.dispose()


def keep_copy(file: Path, copy: Path) -> None:
    """Copy a SQLite database; the copy is whole, or absent."""
    with storage_errors(sqlite_url(file)):
        write_with(copy, lambda place: copy_database(file, place))


def copy_database(file: Path, place: Path) -> None:
    """Copy the content of a SQLite database, also after a kill in the middle of a write."""
    with (
        closing(sqlite3.connect(file, timeout=60)) as source,
        closing(sqlite3.connect(place)) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")


def _fill(
    memory: RDBStorage,
    name: str,
    settings: Settings,
    trials: Sequence[FrozenTrial],
    attributes: Mapping[str, Any],
) -> None:
    with quiet():
        study = optuna.create_study(
            storage=memory,
            study_name=name,
            directions=[direction(goal) for goal in settings.goals],
        )
    for key, value in {**attributes, OURS: json.dumps(settings.as_stored())}.items():
        study.set_user_attr(key, value)
    study_id = memory.get_study_id_from_name(name)
    for trial in trials:
        memory.create_new_trial(study_id, trial)


def _make_room(connection: Connection, name: str, former: str | None) -> None:
    """Rename the study of that name, or delete it."""
    found = connection.execute(
        select(STUDIES.c.study_id).where(STUDIES.c.study_name == name)
    ).scalar_one_or_none()
    if (found is None) != (former is None):
        raise _overtaken(name)
    if found is None:
        return
    if former:
        old = (STUDIES.c.study_id == found) & (STUDIES.c.study_name == name)
        if connection.execute(update(STUDIES).where(old).values(study_name=former)).rowcount != 1:
            raise _overtaken(name)
        return
    own = select(TRIALS.c.trial_id).where(TRIALS.c.study_id == found)
    for table in reversed(BaseModel.metadata.sorted_tables):
        if "study_id" in table.c:
            connection.execute(delete(table).where(table.c.study_id == found))
        elif "trial_id" in table.c:
            connection.execute(delete(table).where(table.c.trial_id.in_(own)))


def _overtaken(name: str) -> StudyError:
    return StudyError(
        f"the study {name!r} was changed by another process at the same moment",
        remedy="Run the same command again.",
    )


def copy_tables(source: Connection, target: Connection) -> None:
    """Copy all rows of the one study in `source`; the target numbers them anew."""
    new: dict[str, dict[int, int]] = {"study_id": {}, "trial_id": {}}
    for table in BaseModel.metadata.sorted_tables:
        links = [key for key in new if key in table.c]
        if not links:
            continue
        [key] = table.primary_key.columns
        rows = [dict(row) for row in source.execute(select(table).order_by(key)).mappings()]
        for row in rows:
            old = row.pop(key.name)
            for link in links:
                if link != key.name:
                    row[link] = new[link][row[link]]
            if key.name in new:
                made = target.execute(insert(table).values(row)).inserted_primary_key
                assert made is not None
                new[key.name][old] = made[0]
        if rows and key.name not in new:
            target.execute(insert(table), rows)
