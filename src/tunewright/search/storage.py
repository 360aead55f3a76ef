"""Where studies are stored: databases by URL, what stands in them, and errors in plain words."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from tunewright.errors import StudyError
from tunewright.runs.record import Direction, Goal

OURS = "tunewright"
"""User attribute that marks a study as ours and holds its settings."""
LEASE = "coordinator"
"""User attribute with the sign of life of the coordinator at work."""


@dataclass(frozen=True)
class Settings:
    """What is stored with a study, so that resuming continues the same search.

    goal: as it was written. metric, direction: of the first goal; others: the rest.
    configuration: the flat explore-stage configuration that all trials share.
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

    @property
    def goals(self) -> tuple[Goal, ...]:
        """All goals, the first one first."""
        return (Goal(self.metric, self.direction), *self.others)


def read_settings(stored: str) -> Settings:
    """The settings from the text that a study stores; what an older version lacks is default."""
    fields: dict[str, Any] = json.loads(stored)
    return Settings(
        **fields
        | {
            "others": tuple(Goal(*goal) for goal in fields.get("others", ())),
            "constraints": tuple(fields.get("constraints", ())),
        }
    )


def absolute_url(url: str) -> str:
    """The URL with a SQLite file's whole path, so that it means the same from everywhere."""
    file = sqlite_file(url)
    if file is None:
        return url
    _, question, options = url.partition("?")
    return f"sqlite:///{file.resolve()}{question}{options}"


def open_storage(url: str) -> RDBStorage:
    """A storage by URL; StudyError, with the remedy, when it cannot be reached."""
    if "://" not in url:
        raise StudyError(
            f"storage {url!r}",
            expected="a database URL",
            remedy="For example sqlite:///study.db or postgresql://user@host/name.",
        )
    if url.startswith("sqlite") and sqlite_file(url) is None:
        raise StudyError(
            f"storage {url!r}",
            expected="a file, since a study must outlive this process",
            remedy="For example sqlite:///study.db.",
        )
    if (file := sqlite_file(url)) is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StudyError(
                f"storage {url}: {file.parent} cannot be made ({error.strerror})"
            ) from None
    with storage_errors(url), quiet():
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
    return read_settings(attributes[OURS])


def stored_lease(url: str, name: str) -> Mapping[str, Any]:
    """The last sign of life of a coordinator of this study; empty when none is at work."""
    lease: Mapping[str, Any] = (_attributes(url, name) or {}).get(LEASE) or {}
    return lease


def _attributes(url: str, name: str) -> Mapping[str, Any] | None:
    """The user attributes of a stored study; a look leaves no empty database behind."""
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return None
    storage = open_storage(url)
    try:
        with storage_errors(url):
            if name not in optuna.get_all_study_names(storage):
                return None
            return optuna.load_study(study_name=name, storage=storage).user_attrs
    finally:
        storage.engine.dispose()


def sqlite_file(url: str) -> Path | None:
    """The file behind a SQLite URL; None for other databases and for one in memory."""
    path = url.removeprefix("sqlite:///").partition("?")[0]
    return Path(path) if url.startswith("sqlite:///") and path not in ("", ":memory:") else None


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn the many ways in which a database fails into one StudyError with the remedy."""
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
def quiet() -> Iterator[None]:
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
