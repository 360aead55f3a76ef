"""Study storage: databases by URL, the settings stored in them, and clear errors."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from tunewright.errors import StudyError, did_you_mean
from tunewright.runs.documents import parse_json
from tunewright.runs.record import Direction, Goal
from tunewright.runs.sqlite_url import sqlite_file, sqlite_url
from tunewright.search.storage.bulk_read import BulkReadingStorage
from tunewright.search.storage.database_errors import (
    EXAMPLE,
    lacking_tables,
    other_tables,
    storage_errors,
    stored_value_errors,
)
from tunewright.search.storage.journal import journal_file, open_journal
from tunewright.search.storage.lost_tables import lost_tables
from tunewright.search.storage.older_schema import is_older, with_current_schema
from tunewright.search.storage.retrying_storage import (
    RetryingStorage,
)
from tunewright.search.storage.sqlite import one_file, reading, write_ahead
from tunewright.search.storage.urls import with_driver, without_password

OURS = "tunewright"
"""User attribute that marks a study as ours and holds its settings."""
LEASE = "coordinator"
"""User attribute with the lease of the active coordinator."""
KEEPALIVES = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}
"""libpq options that detect a connection that went dead silently."""


def _ignore(_text: str) -> None:
    """Ignore a notice."""


@dataclass(frozen=True)
class Settings:
    """The settings stored with a study, so that resuming continues the same search.

    goal: as it was written. metric, direction: of the first goal; others: the rest. data:
    fingerprints of the sets, by name. configuration: the flat explore-stage configuration that all
    trials share. typed_holds: whether typed values override the values of stages; false in studies
    of older versions.
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
        """Return the fields as they are stored in the database and in `study.yaml`."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain = {"others": [list(goal) for goal in self.others], "constraints": [*self.constraints]}
        return fields | plain


def read_settings(fields: Mapping[str, Any]) -> Settings:
    """Return the settings stored by a study, with defaults for fields of newer versions."""
    return Settings(
        **dict(fields)
        | {
            "others": tuple(Goal(*goal) for goal in fields.get("others", ())),
            "constraints": tuple(fields.get("constraints", ())),
        }
    )


def open_storage(
    url: str, *, seconds: float = 0.0, on_notice: Callable[[str], None] = _ignore
) -> RetryingStorage:
    """Open a storage for writing; raise StudyError with a hint when it cannot be reached.

    seconds: how long to wait for a server that becomes unavailable later. on_notice: called when
    that happens, and when a file cannot use write-ahead logging.
    """
    if journal_file(url) is not None:
        raise StudyError(
            f"storage {url!r}",
            expected="a database URL; journals are only read",
            remedy=EXAMPLE,
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
            file.touch()  # SQLite would make it 0644, whatever the umask says
        except OSError as error:
            raise StudyError(
                f"storage {url}: {file} cannot be created ({error.strerror})",
                remedy="Choose another place with --runs-dir or --storage.",
            ) from None
        if is_older(file):
            raise other_tables(url, older=True)
        if lost := lost_tables(file):
            raise lacking_tables(url, lost)
    arguments = _server_arguments(url) if file is None else write_ahead(file, on_notice)
    with storage_errors(url, StudyError), quiet():
        return RetryingStorage(
            _escape_template(with_driver(url)),
            seconds=seconds if file is None else 0.0,
            on_notice=on_notice,
            engine_kwargs=arguments,
        )


def close_storage(url: str, storage: RDBStorage) -> None:
    """Close a database; a SQLite file is then a single file again."""
    storage.remove_session()
    storage.engine.dispose()
    if (file := sqlite_file(url)) is not None and file.exists():
        one_file(file)


@contextmanager
def storage_to_read(url: str) -> Iterator[BaseStorage | None]:
    """Open a storage read-only; yield None when it holds no studies at all.

    url: of a database, or `journal:PATH` of a journal file of Optuna.

    Of a SQLite file with the tables of an older Optuna, an upgraded copy is read. Raises
    StudyError, with the remedy, when it cannot be reached.
    """
    if (journal := journal_file(url)) is not None:
        with quiet():
            snapshot = open_journal(journal)
        with stored_value_errors(url):
            yield snapshot
        return
    file = sqlite_file(url)
    if file is not None and not file.exists():
        yield None
        return
    if file is not None and not file.is_file():
        raise StudyError(
            f"{file} is not a file",
            expected="the database of a study",
            remedy="Move it away, or choose another place with --runs-dir or --storage.",
        )
    with ExitStack() as stack:
        stack.enter_context(storage_errors(url, StudyError))
        stack.enter_context(stored_value_errors(url))
        # Otherwise a failing constructor would leave a connection that nobody can close.
        arguments = {**_server_arguments(url), "poolclass": NullPool}
        opened = url
        if file is not None:
            current = stack.enter_context(with_current_schema(file))
            arguments = stack.enter_context(reading(current))
            opened = url if current == file else sqlite_url(current)
        storage: RDBStorage | None = None
        try:
            with quiet():
                storage = BulkReadingStorage(
                    _escape_template(with_driver(opened)),
                    seconds=0.0,
                    on_notice=_ignore,
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


def choose_study(storage: BaseStorage | None, name: str | None, shown: str, remedy: str) -> str:
    """Return the name of a study in a storage.

    name: None for the only one. shown: the storage in messages. storage: None when it holds no
    studies at all. Raises StudyError, with the names that it holds, or with `remedy` where none is
    similar.
    """
    names = [] if storage is None else optuna.get_all_study_names(storage)
    chosen = name or (names[0] if len(names) == 1 else None)
    if chosen is None or chosen not in names:
        raise StudyError(
            f"study {name!r} in {shown}" if name else f"no study was named, and {shown}",
            expected=f"one of {', '.join(names) or 'none'}",
            remedy=did_you_mean(name or "", names) or remedy,
        )
    return chosen


def stored_settings(url: str, name: str) -> Settings | None:
    """Return the settings stored under `name`; None when no such study exists.

    A study without trials and attributes counts as none: a kill right after it was created leaves
    such a one. Raises StudyError for a study that Tunewright did not make.
    """
    attributes = _attributes(url, name)
    if attributes is None:
        return None
    if not attributes and not _has_trials(url, name):
        return None
    if OURS not in attributes:
        raise StudyError(
            f"the study {name!r} in {without_password(url)} was made by another program",
            remedy="Choose another --name.",
        )
    with stored_value_errors(url):
        return settings_in(attributes)


def settings_in(attributes: Mapping[str, Any]) -> Settings | None:
    """Return the settings among a study's attributes; None in a study of another program."""
    if OURS not in attributes:
        return None
    return read_settings(parse_json(attributes[OURS], finite=False))


def stored_lease(url: str, name: str) -> Mapping[str, Any]:
    """Return the last lease of a coordinator of this study; empty when none is active."""
    lease: Mapping[str, Any] = (_attributes(url, name) or {}).get(LEASE) or {}
    return lease


def create_study(
    storage: BaseStorage, name: str, directions: Sequence[StudyDirection]
) -> optuna.Study:
    """Create a study, or load the one of this name; an empty one of other directions is replaced.

    It is what a kill right after the creation left, of a search with another goal.
    """
    study = optuna.create_study(
        storage=storage, study_name=name, directions=directions, load_if_exists=True
    )
    if study.directions == list(directions) or study.user_attrs or study.get_trials(deepcopy=False):
        return study
    optuna.delete_study(study_name=name, storage=storage)
    return optuna.create_study(storage=storage, study_name=name, directions=directions)


def _has_trials(url: str, name: str) -> bool:
    with storage_to_read(url) as storage:
        if storage is None:
            return False
        return bool(storage.get_n_trials(storage.get_study_id_from_name(name)))


def _attributes(url: str, name: str) -> Mapping[str, Any] | None:
    """Return the user attributes of a stored study, without writing anything."""
    with storage_to_read(url) as storage:
        if storage is None or name not in optuna.get_all_study_names(storage):
            return None
        return optuna.load_study(study_name=name, storage=storage).user_attrs


def _no_tables(error: BaseException) -> bool:
    """Return whether a database has no tables: empty, or left before any were created."""
    text = str(error.__cause__ or error)
    return "no such table" in text or "UndefinedTable" in text or "readonly database" in text


def _server_arguments(url: str) -> dict[str, Any]:
    """Return connection arguments that detect a lost server within a minute."""
    arguments: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("postgres"):
        asked = url.partition("?")[2]
        arguments["connect_args"] = {
            name: value for name, value in KEEPALIVES.items() if f"{name}=" not in asked
        }
    return arguments


def _escape_template(url: str) -> str:
    """Escape braces in the URL, since Optuna formats it as a template."""
    return url.replace("{", "{{").replace("}", "}}")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's warnings about experimental features and about ranges off their grid.

    Optuna shortens such a range to its grid, beyond which no value lies anyway. All other warnings,
    of Optuna or the libraries below it, are passed on.
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
    """Silence Optuna's INFO lines unless debug logging is on; Tunewright shows the progress.

    Nor does it tell of a query that it repeats in a slower way: what fails for good is an error of
    ours, in one sentence.
    """
    logging.getLogger("optuna.storages._rdb.storage").addFilter(_is_no_repeated_query)
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        optuna.logging.set_verbosity(optuna.logging.WARNING)


def _is_no_repeated_query(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Caught an error from sqlalchemy")
