"""Where studies are stored: databases by URL, what stands in them, and errors in plain words."""

import json
import logging
import shlex
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from tunewright.errors import StorageLost, StudyError, did_you_mean
from tunewright.runs.record import Direction, Goal
from tunewright.runs.sqlite_url import sqlite_file
from tunewright.search.storage.retrying_storage import (
    RetryingStorage,
    ServerUnavailable,
    first_line,
)
from tunewright.search.storage.sqlite import one_file, reading, write_ahead
from tunewright.search.storage.urls import with_driver, without_password

OURS = "tunewright"
"""User attribute that marks a study as ours and holds its settings."""
LEASE = "coordinator"
"""User attribute with the sign of life of the coordinator at work."""
KEEPALIVES = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}
"""Options of libpq for a connection that went dead without a word."""


def _unheard(_text: str) -> None:
    """What nobody waits to hear."""


@dataclass(frozen=True)
class Settings:
    """What is stored with a study, so that resuming continues the same search.

    goal: as it was written. metric, direction: of the first goal; others: the rest.
    data: fingerprints of the sets, by name.
    configuration: the flat explore-stage configuration that all trials share.
    typed_holds: whether what was typed outweighs what stages ship, as it did not in older versions.
    """

    recipe: str
    goal: str
    metric: str
    direction: Direction
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any]
    space: Mapping[str, Any]
    configuration: Mapping[str, Any]
    seed: int
    others: tuple[Goal, ...] = ()
    constraints: tuple[str, ...] = ()
    seeds: int = 1
    data: Mapping[str, str] = field(default_factory=dict)
    typed_holds: bool = False

    @property
    def goals(self) -> tuple[Goal, ...]:
        """All goals, the first one first."""
        return (Goal(self.metric, self.direction), *self.others)

    def as_stored(self) -> dict[str, Any]:
        """The fields, as they lie in the database and in `study.yaml`."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain = {"others": [list(goal) for goal in self.others], "constraints": [*self.constraints]}
        return fields | plain


def read_settings(fields: Mapping[str, Any]) -> Settings:
    """The settings from what a study stores; what an older version lacks is default."""
    return Settings(
        **dict(fields)
        | {
            "others": tuple(Goal(*goal) for goal in fields.get("others", ())),
            "constraints": tuple(fields.get("constraints", ())),
        }
    )


def open_storage(
    url: str, *, seconds: float = 0.0, told: Callable[[str], None] = _unheard
) -> RetryingStorage:
    """A storage by URL, to write to; StudyError, with the remedy, when it cannot be reached.

    seconds: how long a server that goes away later is waited for. told: hears of that, and of
    a file that cannot be written ahead.
    """
    if "://" not in url:
        raise StudyError(
            f"storage {url!r}",
            expected="a database URL",
            remedy="For example sqlite:///study.db or postgresql://user@host/name.",
        )
    file = sqlite_file(url)
    if url.startswith("sqlite") and file is None:
        raise StudyError(
            f"storage {url!r}",
            expected="a file, since a study must outlive this process",
            remedy="For example sqlite:///study.db.",
        )
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StudyError(
                f"storage {url}: {file.parent} cannot be made ({error.strerror})"
            ) from None
    arguments = _server_arguments(url) if file is None else write_ahead(file, told)
    with storage_errors(url, StudyError), quiet():
        return RetryingStorage(
            _verbatim(with_driver(url)),
            seconds=seconds if file is None else 0.0,
            told=told,
            engine_kwargs=arguments,
        )


def close_storage(url: str, storage: RDBStorage) -> None:
    """Let go of a database; a SQLite file is then one file again."""
    storage.remove_session()
    storage.engine.dispose()
    if (file := sqlite_file(url)) is not None and file.exists():
        one_file(file)


@contextmanager
def storage_to_read(url: str) -> Iterator[RDBStorage | None]:
    """A storage for a look, which writes nothing; None when it holds no studies at all.

    Raises StudyError, with the remedy, when it cannot be reached.
    """
    file = sqlite_file(url)
    if file is not None and not file.exists():
        yield None
        return
    with ExitStack() as stack:
        stack.enter_context(storage_errors(url, StudyError))
        # A constructor that fails keeps no connection then, which nobody could close.
        arguments = {**_server_arguments(url), "poolclass": NullPool}
        if file is not None:
            arguments = stack.enter_context(reading(file))
        storage: RDBStorage | None = None
        try:
            with quiet():
                storage = RetryingStorage(
                    _verbatim(with_driver(url)),
                    seconds=0.0,
                    told=_unheard,
                    engine_kwargs=arguments,
                    skip_table_creation=True,
                )
        except (StorageInternalError, SQLAlchemyError) as error:
            if not _no_tables(error):
                raise
        try:
            yield storage
        finally:
            if storage is not None:
                storage.remove_session()
                storage.engine.dispose()


def chosen_study(storage: BaseStorage | None, name: str | None, shown: str, remedy: str) -> str:
    """The name of a study in a storage; None: the only one. shown: the storage, for people.

    storage: None when it holds no studies at all. Raises StudyError, with the names that it
    holds, or with `remedy` where none is near.
    """
    names = [] if storage is None else optuna.get_all_study_names(storage)
    chosen = name or (names[0] if len(names) == 1 else None)
    if chosen is None or chosen not in names:
        raise StudyError(
            f"study {name!r} in {shown}" if name else f"no study is named, and {shown}",
            expected=f"one of {', '.join(names) or 'none'}",
            remedy=did_you_mean(name or "", names) or remedy,
        )
    return chosen


def stored_settings(url: str, name: str) -> Settings | None:
    """What is stored under `name`; None when no such study exists.

    Raises StudyError for a study that Tunewright did not make.
    """
    attributes = _attributes(url, name)
    if attributes is None:
        return None
    if OURS not in attributes:
        raise StudyError(
            f"the study {name!r} in {without_password(url)} was made by another program",
            remedy="Choose another --name.",
        )
    return read_settings(json.loads(attributes[OURS]))


def stored_lease(url: str, name: str) -> Mapping[str, Any]:
    """The last sign of life of a coordinator of this study; empty when none is at work."""
    lease: Mapping[str, Any] = (_attributes(url, name) or {}).get(LEASE) or {}
    return lease


def _attributes(url: str, name: str) -> Mapping[str, Any] | None:
    """The user attributes of a stored study; a look leaves nothing behind."""
    with storage_to_read(url) as storage:
        if storage is None or name not in optuna.get_all_study_names(storage):
            return None
        return optuna.load_study(study_name=name, storage=storage).user_attrs


@contextmanager
def storage_errors(url: str, kind: type[StudyError] = StorageLost) -> Iterator[None]:
    """Turn the many ways in which a database fails into one error with the remedy.

    kind: StorageLost when it fails in the middle of a study, StudyError at the door.
    """
    try:
        yield
    except (
        StorageInternalError,
        SQLAlchemyError,
        sqlite3.Error,
        ImportError,
        ServerUnavailable,
    ) as error:
        cause = first_line(error.__cause__ or error)
        raise kind(
            f"the storage {without_password(url)} does not answer: {cause}",
            remedy=_remedy(url, cause),
        ) from error


def _remedy(url: str, cause: str) -> str:
    again = "Every finished trial is in the run folders. "
    file = sqlite_file(url)
    if "not a database" in cause or "malformed" in cause:
        study = "STUDY"
        if file is not None and (file.parent / "study.yaml").exists():
            study = shlex.quote(str(file.parent))
        return (
            f"{again}Rebuild the database from them (tunewright repair {study}) and "
            "type the same command again."
        )
    if "password" in cause:
        return (
            "Give it in --storage, in PGPASSWORD or in ~/.pgpass: no password is kept with a study."
        )
    if file is not None and ("full" in cause or "I/O" in cause):
        return f"{again}Free space on its disk and type the same command again."
    if "readonly" in cause or "read-only" in cause:
        return f"{again}Make it writable and type the same command again."
    return f"{again}Bring the storage back and type the same command again."


def _no_tables(error: BaseException) -> bool:
    """Whether a database is empty, or was left so early that it knows nothing."""
    text = str(error.__cause__ or error)
    return "no such table" in text or "UndefinedTable" in text or "readonly database" in text


def _server_arguments(url: str) -> dict[str, Any]:
    """What notices within a minute that a server is gone, where nothing says so."""
    arguments: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("postgres"):
        asked = url.partition("?")[2]
        arguments["connect_args"] = {
            name: value for name, value in KEEPALIVES.items() if f"{name}=" not in asked
        }
    return arguments


def _verbatim(url: str) -> str:
    """The URL so that Optuna, which fills in what stands in braces, leaves it as it is."""
    return url.replace("{", "{{").replace("}", "}}")


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna's notices about experimental parts are for us, not for the user.

    So is that it shortens a range to its grid, on which nothing beyond the last step lies anyway.
    All else that it or a library below it warns of is heard.
    """
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", "The distribution is specified by", UserWarning)
        try:
            yield
        finally:
            logger.setLevel(level)


def silence_optuna() -> None:
    """No INFO lines from Optuna: progress is shown by Tunewright, unless all is asked for."""
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
