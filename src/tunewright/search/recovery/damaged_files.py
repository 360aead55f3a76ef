"""Files of a study that are damaged, or something else than they should be."""

import contextlib
import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import optuna

from tunewright.config.tree import Tree
from tunewright.errors import ConfigError, StudyError
from tunewright.runs.folder import StudyFolder
from tunewright.runs.sqlite_url import sqlite_url
from tunewright.search.recovery.repair_report import RepairLog
from tunewright.search.storage.database import storage_to_read, stored_settings
from tunewright.search.storage.database_errors import DAMAGED_VALUE, DAMAGES
from tunewright.search.storage.sqlite import SIDES
from tunewright.search.study.optuna_types import record_of
from tunewright.search.study_file import read_study_file


def read_settings_or_database(folder: StudyFolder, log: RepairLog) -> Tree:
    """Return the settings in `study.yaml`; where it is damaged, what the database tells of them."""
    try:
        return read_study_file(folder)
    except (StudyError, ConfigError) as error:
        names: Sequence[str] = ()
        url = sqlite_url(folder.database.resolve())
        with contextlib.suppress(StudyError), storage_to_read(url) as storage:
            names = [] if storage is None else optuna.get_all_study_names(storage)
        if len(names) != 1:
            raise StudyError(
                f"{error.came}, and {folder.database} does not tell the settings either",
                remedy=f"They are lost. The trials are in {folder.trials}, each with its "
                "configuration and its outcome; begin a new study with another --name.",
            ) from None
        log.differing.append(str(error))
        return {"name": names[0]}


def unreadable(url: str, name: str) -> str:
    """Return why a whole database cannot be read as a study; empty when it can."""
    try:
        settings = stored_settings(url, name)
        with storage_to_read(url) as storage:
            if storage is not None and settings is not None:
                record_of(optuna.load_study(study_name=name, storage=storage), settings)
    except StudyError as error:
        if isinstance(error.__cause__, DAMAGED_VALUE) or any(
            text in str(error) for text in DAMAGES
        ):
            return str(error.__cause__ or error)
        raise
    return ""


def move_folders_aside(folder: StudyFolder) -> list[str]:
    """Give folders in the place of a study's files, and the reverse, another name.

    Returns what was done.
    """
    done = []
    for place in [folder.trials, *folder.trials.glob("*")]:
        if place.is_file() and (place == folder.trials or place.name.isdigit()):
            done.append(_move_aside(place, "file"))
    runs = [run for number in folder.trial_numbers for run in folder.trial(number).with_seeds()]
    names = ("outcome.json", "attempt.json", "trial.json", "request.json", "progress.jsonl")
    files = [run.path / name for run in runs for name in (*names, "config.yaml", "memory.json")]
    results = [folder.summary, folder.best_config, folder.best_results]
    for file in [folder.settings, folder.space, folder.database, *results, *files]:
        if file.is_dir():
            done.append(_move_aside(file, "folder"))
    return done


def replace_database(fresh: Path, file: Path) -> Path | None:
    """Replace a file in one step; the old one and its companion files get a free name."""
    aside = next(p for n in count(1) if not (p := _numbered_name(file, n)).exists())
    kept = aside if file.exists() else None
    if kept is not None:
        os.link(file, kept)
    # Before the swap, so that the old file's write-ahead log is not applied to the new one.
    for side in SIDES:
        left = file.with_name(f"{file.name}{side}")
        if left.exists():
            left.replace(aside.with_name(f"{aside.name}{side}"))
    fresh.replace(file)
    return kept


def remove_database(file: Path) -> None:
    """Remove a SQLite file and its companion files."""
    for side in ("", *SIDES):
        file.with_name(f"{file.name}{side}").unlink(missing_ok=True)


def _move_aside(place: Path, kind: str) -> str:
    aside = next(p for n in count(1) if not (p := _numbered_name(place, n)).exists())
    place.rename(aside)
    return f"{place} was a {kind}, which is now {aside.name}"


def _numbered_name(file: Path, number: int) -> Path:
    return file.with_name(f"{file.stem}.broken-{number}{file.suffix}")
