"""Continue a study after a change of its space, with the trials that fit the new one.

Trials keep their numbers, and so their folders. A trial that does not fit is replaced by a
placeholder that stores it: when its space comes back, so does the trial.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.errors import ConfigError
from tunewright.recipes.recipe import Recipe
from tunewright.runs.atomic import write_yaml
from tunewright.runs.folder import StudyFolder
from tunewright.runs.sqlite_url import sqlite_file
from tunewright.search.callbacks import StudyCallback
from tunewright.search.memory.oom_retry import original_config
from tunewright.search.prepare import PreparedStudy
from tunewright.search.recovery.trial_from_folder import placeholder
from tunewright.search.storage.database import LEASE, OURS, Settings
from tunewright.search.study.notes import store_notes, stored_notes
from tunewright.search.transfer.publish import keep_copy, publish
from tunewright.search.transfer.stored_trials import (
    StoredTrial,
    import_trial,
    placeholder_of,
    set_study_attr,
    stored_study,
)
from tunewright.search.transfer.trial_matching import (
    Candidate,
    Mismatch,
    count_mismatches,
    match_trials,
)

REBASED = "rebased_from"
"""User attribute of a trial that was drawn from an earlier space: its number there."""
KEPT_AS = "kept_as"
"""User attribute of a study that is about to be rebased: the number of its copy.

A command that was killed and is run again finds it, and does not keep a second copy.
"""


@dataclass(frozen=True)
class _Former:
    """A stored study before it is rebased.

    gaps: numbers without a trial, and why. count: of all numbers. kept: the number of the copy that
    is kept. copy: the file of the copy; None where it stays in the database, under the name
    `kept_name`.
    """

    trials: Sequence[StoredTrial]
    gaps: Mapping[int, str]
    count: int
    attributes: Mapping[str, Any]
    kept: int
    kept_name: str
    copy: Path | None


def rebase(recipe: Recipe, prepared: PreparedStudy, watch: StudyCallback) -> None:
    """Replace the stored study by one with the new space, and keep the old one.

    Keeps `study-1.db`, or the next free number; in a database that holds other studies too, the
    study `NAME-1`. Its space is kept in `space-1.yaml`. After a kill at any moment, the storage
    holds one of the two studies whole, and the same command continues.
    """
    known = prepared.known
    assert known is not None
    former = _former(prepared)
    watch.notice(
        f"the space has changed ({', '.join(prepared.changed)}): rebasing the study, "
        f"with those of its {len(former.trials)} trials that fit"
    )
    candidates = [candidate(old, known, prepared.folder) for old in former.trials]
    matches = match_trials(recipe, prepared, candidates)
    trials = {number: placeholder(why) for number, why in former.gaps.items()}
    for old in former.trials:
        match = matches[old.number]
        trials[old.number] = (
            placeholder_of(old, match.text)
            if isinstance(match, Mismatch)
            else import_trial(old, prepared.space, match, {REBASED: old.number})
        )
    space = prepared.folder.space.with_name(f"space-{former.kept}.yaml")
    write_yaml(space, known.space, header=f"The space of {former.kept_name}.")
    if former.copy is not None:
        file = sqlite_file(prepared.url)
        assert file is not None
        keep_copy(file, former.copy)
    notes = stored_notes(prepared.url, prepared.name)
    publish(
        prepared.url,
        prepared.name,
        prepared.settings,
        [trials[number] for number in range(former.count)],
        former.attributes,
        former="" if former.copy is not None else former.kept_name,
    )
    if notes:
        store_notes(prepared.url, prepared.name, notes)
    for number, match in matches.items():  # the source for rebuilding a lost database
        folder = prepared.folder.trial(number)
        stored = folder.read_parameters()
        if stored is not None and not isinstance(match, Mismatch) and stored[0] != match:
            folder.write_parameters(match, started=stored[1])
    mismatches = [match for match in matches.values() if isinstance(match, Mismatch)]
    watch.notice(
        f"{len(matches) - len(mismatches)} of {len(matches)} trials fit and are kept, "
        f"{len(mismatches)} do not"
    )
    for line in count_mismatches(mismatches):
        watch.notice(f"  not kept, {line}")
    where = former.copy or f"the study {former.kept_name!r} of the same database"
    watch.notice(f"the original study is kept in {where}, with {space.name}")


def candidate(old: StoredTrial, known: Settings, folder: StudyFolder | None) -> Candidate:
    """Return a trial of one of our studies, with its configuration if the folder is still there."""
    ran = None
    if folder is not None and folder.trial(old.number).config.exists():
        with contextlib.suppress(ConfigError):  # an unreadable configuration counts as unknown
            ran = original_config(folder.trial(old.number))
    return Candidate(
        old.number,
        old.state,
        old.parameters,
        ran,
        known.configuration,
        known.space.get("derived", {}),
    )


def _former(prepared: PreparedStudy) -> _Former:
    """Return the stored study, after storing the number of its copy in it."""
    name, folder = prepared.name, prepared.folder.path
    stored = stored_study(prepared.url, name)
    names = stored.neighbours
    file = sqlite_file(prepared.url) if names == (name,) else None
    number = stored.attributes.get(KEPT_AS)
    if not isinstance(number, int):
        number = 1
        while (
            (folder / f"space-{number}.yaml").exists()
            or (file is not None and _numbered_file(file, number).exists())
            or f"{name}-{number}" in names
        ):
            number += 1
        set_study_attr(prepared.url, name, KEPT_AS, number)
    kept = {k: v for k, v in stored.attributes.items() if k not in (OURS, LEASE, KEPT_AS)}
    if file is not None:
        copy = _numbered_file(file, number)
        return _Former(stored.trials, stored.gaps, stored.count, kept, number, copy.name, copy)
    free = number
    while f"{name}-{free}" in names:
        free += 1
    return _Former(stored.trials, stored.gaps, stored.count, kept, number, f"{name}-{free}", None)


def _numbered_file(file: Path, number: int) -> Path:
    return file.with_name(f"{file.stem}-{number}{file.suffix}")
