"""Notes on trials, stored as optuna-dashboard stores them, which shows and edits them.

They are attributes of the study: `dashboard:ID:note_ver` counts the changes, and the parts of the
text are `dashboard:ID:note_str:0`, 1, ..., where ID is that of the trial in its storage.
"""

import contextlib
import math
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from tunewright.runs.documents import parse_json
from tunewright.runs.folder import StudyFolder
from tunewright.search.storage.database import close_storage, open_storage, storage_to_read
from tunewright.search.storage.database_errors import storage_errors
from tunewright.search.storage.sqlite import reading

PART = 2045
"""Characters of a part, as optuna-dashboard divides a text for MySQL."""


def note_of(attributes: Mapping[str, Any], trial_id: int) -> str:
    """Return the note on a trial among a study's system attributes; empty where there is none."""
    parts: list[str] = []
    while isinstance(part := attributes.get(_part(trial_id, len(parts))), str) and part:
        parts.append(part)
    return "".join(parts)


def notes_of(study: optuna.Study) -> dict[int, str]:
    """Return the notes of a study by the number of their trial."""
    attributes = system_attributes(study)
    trials = study.get_trials(deepcopy=False) if attributes else []
    found = {trial.number: note_of(attributes, trial._trial_id) for trial in trials}
    return {number: note for number, note in found.items() if note}


def write_notes(study: optuna.Study, notes: Mapping[int, str]) -> None:
    """Store notes by the number of their trial; an empty one removes what was there."""
    storage, study_id = study._storage, study._study_id
    attributes = system_attributes(study)
    ids = {trial.number: trial._trial_id for trial in study.get_trials(deepcopy=False)}
    for number, note in notes.items():
        trial_id = ids[number]
        version = attributes.get(key := f"dashboard:{trial_id}:note_ver")
        version = version + 1 if isinstance(version, int) else 1
        count = math.ceil(len(note) / PART)
        parts = {_part(trial_id, n): note[n * PART : (n + 1) * PART] for n in range(count)}
        prefix = _part(trial_id, "")
        former = dict.fromkeys((k for k in attributes if k.startswith(prefix)), "")
        for name, part in {**former, **parts}.items():
            storage.set_study_system_attr(study_id, name, part)
        storage.set_study_system_attr(study_id, key, version)


def stored_notes(url: str, name: str) -> dict[int, str]:
    """Return the notes of a stored study by the number of their trial."""
    with storage_to_read(url) as storage:
        assert storage is not None, "the study was read a moment ago"
        return notes_of(optuna.load_study(study_name=name, storage=storage))


def store_notes(url: str, name: str, notes: Mapping[int, str]) -> None:
    """Store notes in a stored study; see `write_notes`."""
    storage = open_storage(url)
    try:
        with storage_errors(url):
            write_notes(optuna.load_study(study_name=name, storage=storage), notes)
    finally:
        close_storage(url, storage)


def save_note(url: str, name: str, folder: StudyFolder | None, number: int, note: str) -> None:
    """Store a note on a trial, in its run folder as well, from which `repair` restores it."""
    if folder is not None and folder.trial(number).config.exists():
        folder.trial(number).write_note(note)
    store_notes(url, name, {number: note})


def restore_notes(study: optuna.Study, folder: StudyFolder) -> list[int]:
    """Store the notes that only run folders have; return the numbers of their trials."""
    known, numbers = notes_of(study), {t.number for t in study.get_trials(deepcopy=False)}
    lost = {
        number: note
        for number in sorted(folder.trial_numbers & numbers - known.keys())
        if (note := folder.trial(number).read_note())
    }
    write_notes(study, lost)
    return list(lost)


def save_dashboard_notes(file: Path, name: str, folder: StudyFolder) -> list[int]:
    """Store the notes of a damaged SQLite file in the run folders, as far as it can be read.

    They may have been written in the dashboard alone. Returns the numbers of their trials.
    """
    saved = []
    with (
        contextlib.suppress(sqlite3.Error, OSError, ValueError),
        reading(file) as arguments,
        contextlib.closing(arguments["creator"]()) as connection,
    ):
        rows = connection.execute("SELECT key, value_json FROM study_system_attributes").fetchall()
        attributes = {key: parse_json(value, finite=False) for key, value in rows}
        trials = connection.execute(
            "SELECT trial_id, number FROM trials JOIN studies "
            "ON trials.study_id = studies.study_id WHERE study_name = ?",
            [name],
        ).fetchall()
        for trial_id, number in trials:
            run = folder.trial(number)
            note = note_of(attributes, trial_id)
            if note and run.config.exists() and run.read_note() != note:
                run.write_note(note)
                saved.append(number)
    return saved


def system_attributes(study: optuna.Study) -> Mapping[str, Any]:
    """Return the attributes that Optuna and its dashboard keep of a study."""
    attributes: Mapping[str, Any] = study._storage.get_study_system_attrs(study._study_id)
    return attributes


def _part(trial_id: int, number: int | str) -> str:
    return f"dashboard:{trial_id}:note_str:{number}"
