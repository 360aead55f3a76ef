"""Rebuild a study's database from its run folders, or compare the two."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import text

from tunewright.config.apply import with_values
from tunewright.config.tree import flatten, get
from tunewright.errors import ConfigError, DataError, StudyError, TunewrightError
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.registry import find_recipe
from tunewright.runs.atomic import read_yaml
from tunewright.runs.folder import StudyFolder, without_strays
from tunewright.runs.sqlite_url import sqlite_file, sqlite_url
from tunewright.search.loop.lease import FolderLock, refuse_if_alive
from tunewright.search.read_study import stored_url, study_folder
from tunewright.search.recovery.damaged_files import (
    move_folders_aside,
    read_settings_or_database,
    remove_database,
    replace_database,
    unreadable,
)
from tunewright.search.recovery.lost_rows import lost_rows, refuse_lost_rows
from tunewright.search.recovery.repair_report import RepairLog, RepairReport
from tunewright.search.recovery.trial_from_folder import (
    RecoveredTrial,
    placeholder,
    read_trial_folder,
    repair_attempt_counter,
    stored_space,
)
from tunewright.search.storage.database import (
    OURS,
    Settings,
    close_storage,
    open_storage,
    read_settings,
    silence_optuna,
    storage_to_read,
    stored_lease,
    stored_settings,
)
from tunewright.search.storage.database_errors import DAMAGED_VALUE, storage_errors
from tunewright.search.storage.retrying_storage import RetryingStorage
from tunewright.search.storage.sqlite import broken
from tunewright.search.storage.urls import url_of
from tunewright.search.study.compatibility import shared_settings
from tunewright.search.study.constraints import constraints
from tunewright.search.study.notes import restore_notes, save_dashboard_notes
from tunewright.search.study.optuna_types import DROPPED, IMPORTED, SOURCES, direction
from tunewright.spaces.space import Space


def repair(
    study: str | None, *, storage: str | None = None, runs: Path = Path("runs")
) -> RepairReport:
    """Make the database agree with the run folders; the same tune command then resumes.

    A file that is missing or unreadable is rebuilt and swapped in whole; the old one is kept. A
    database that is intact is compared, and only missing values are added. storage: the study's
    database, which overrides the one in its folder. Raises StudyError while a coordinator is at
    work, and when the folder does not hold the study's settings.
    """
    silence_optuna()
    folder = study_folder(study, runs, "repair")
    log, kept = RepairLog(), None
    lock = FolderLock(folder.path)
    try:
        log.differing += move_folders_aside(folder)
        stored = read_settings_or_database(folder, log)
        url = url_of(storage) if storage else stored_url(folder, stored)
        name = str(stored["name"])
        file = sqlite_file(url)
        rebuilt = ""
        if file is not None:
            rebuilt = broken(file) or unreadable(url, name) or lost_rows(url, name, folder)
        known = None
        if not rebuilt:
            refuse_if_alive(name, partial(stored_lease, url, name), lock)
            known = stored_settings(url, name)
        settings = known or settings_of(folder, stored)
        if file is not None and rebuilt:
            log.filled += [f"trial {n}: its note" for n in save_dashboard_notes(file, name, folder)]
            fresh = file.with_name(f".{file.name}.rebuilt")
            remove_database(fresh)
            fill_database(sqlite_url(fresh), name, settings, folder, log)
            _report_imported(sqlite_url(fresh), name, stored.get(SOURCES) or [], log)
            kept = replace_database(fresh, file)
        else:
            fill_database(url, name, settings, folder, log)
            _report_imported(url, name, stored.get(SOURCES) or [], log)
    finally:
        lock.release()
    return RepairReport(
        folder=folder,
        rebuilt=rebuilt,
        kept=kept,
        added=tuple(log.added),
        filled=tuple(log.filled),
        differing=tuple(log.differing),
        lost=tuple(log.lost),
        by_state=log.by_state,
    )


def _report_imported(url: str, name: str, sources: Sequence[str], log: RepairLog) -> None:
    """Report the trials imported when the study began; they have no folder to restore from."""
    storage = open_storage(url)
    try:
        with storage_errors(url):
            study = optuna.load_study(study_name=name, storage=storage)
            if sources and SOURCES not in study.user_attrs:
                study.set_user_attr(SOURCES, list(sources))
                log.lost.append(
                    f"the trials imported from {sources[0]} have no folders here; a new study "
                    "imports them again"
                )
    finally:
        close_storage(url, storage)


def adopt(url: str, name: str, settings: Settings, folder: StudyFolder) -> list[int]:
    """Add trials that only their folders know, as a crash of the machine leaves them.

    Returns their numbers. Cheap when there are none, and called before a study resumes. Raises
    StudyError for a database that has lost rows otherwise.
    """
    refuse_lost_rows(url, name, folder)
    numbers = folder.trial_numbers
    if not numbers:
        return []
    with storage_to_read(url) as storage:
        if not isinstance(storage, RDBStorage):
            return []
        with storage.engine.connect() as connection:
            query = text(
                "SELECT COUNT(trials.trial_id) FROM studies LEFT JOIN trials "
                "ON trials.study_id = studies.study_id "
                "WHERE studies.study_name = :name GROUP BY studies.study_id"
            )
            row = connection.execute(query, {"name": name}).fetchone()
    if row is None or max(numbers) < row[0]:
        return []
    log = RepairLog()
    fill_database(url, name, settings, folder, log)
    return [number for number in log.added if number in numbers]


def settings_of(folder: StudyFolder, stored: Mapping[str, Any]) -> Settings:
    """Return the settings of a study from its folder.

    Of older studies, and where what is stored is damaged, they are computed from the configuration.
    """
    if isinstance(stored.get("settings"), Mapping):
        with contextlib.suppress(*DAMAGED_VALUE):
            return read_settings(stored["settings"])
    try:
        recipe = find_recipe(str(stored["configuration"]["recipe"]))
        tree = stored["configuration"]
        explore, config = with_values(tree, flatten(tree["stages"]["explore"]), recipe.config)
        specification = read_yaml(folder.space)
        space = stored_space(specification)
    except (KeyError, TypeError, ConfigError) as error:
        raise StudyError(
            f"{folder.settings} and {folder.space} do not hold the settings of the study: {error}",
            expected="the files that `tunewright tune` writes when it begins",
        ) from None
    first, *others = recipe.goals(config)
    limits = constraints(config.study.constraints, recipe.measures)
    return Settings(
        recipe=recipe.name,
        goal=", ".join(config.goals),
        metric=first.metric,
        direction=first.direction,
        sampler=config.study.sampler.model_dump(),
        pruner=config.study.pruner.model_dump(),
        space=specification,
        configuration=shared_settings(recipe, explore, space)
        | _reserved_values(folder, stored, space),
        seed=config.study.seed,
        others=tuple(others),
        constraints=tuple(limit.text for limit in limits),
        seeds=config.study.seeds,
    )


def fill_database(
    url: str, name: str, settings: Settings, folder: StudyFolder, log: RepairLog
) -> None:
    """Add everything to a database that the folders know and it does not."""
    recipe = find_recipe(settings.recipe)
    space = stored_space(
        settings.space, _surroundings(folder, recipe, stored_space(settings.space))
    )
    numbers = folder.trial_numbers
    storage = open_storage(url)
    try:
        with storage_errors(url):
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=[direction(goal) for goal in settings.goals],
                load_if_exists=True,
            )
            if OURS not in study.user_attrs:
                study.set_user_attr(OURS, json.dumps(settings.as_stored()))
            stored = {t.number: t for t in study.get_trials(deepcopy=False)}
            study_id = storage.get_study_id_from_name(name)
            for number in range(max(without_strays([*numbers, *stored]), default=-1) + 1):
                recovered = _read_trial(folder, number, number in numbers, recipe, settings, space)
                if number not in stored:
                    storage.create_new_trial(study_id, recovered.trial)
                    log.added.append(number)
                    log.lost += [f"trial {number}: {reason}" for reason in recovered.lost]
                elif stored[number].state != TrialState.WAITING:
                    _compare(storage, stored[number], recovered, number in numbers, log)
                if number in numbers:
                    repair_attempt_counter(folder.trial(number))
            log.filled += [f"trial {number}: its note" for number in restore_notes(study, folder)]
            for trial in study.get_trials(deepcopy=False):
                state = trial.state.name.lower()
                log.by_state[state] = log.by_state.get(state, 0) + 1
    finally:
        close_storage(url, storage)


def _read_trial(
    folder: StudyFolder, number: int, there: bool, recipe: Recipe, settings: Settings, space: Space
) -> RecoveredTrial:
    if there:
        return read_trial_folder(folder.trial(number), recipe, settings, space)
    reason = "it has no folder"
    return RecoveredTrial(placeholder(reason), (reason,))


def _compare(
    storage: RetryingStorage,
    stored: FrozenTrial,
    recovered: RecoveredTrial,
    there: bool,
    log: RepairLog,
) -> None:
    """Add the missing values of a stored trial; existing values stay."""
    at = f"trial {stored.number}"
    if DROPPED in stored.user_attrs or IMPORTED in stored.user_attrs:  # has no folder here
        return
    if DROPPED in recovered.trial.user_attrs:
        log.differing.append(f"{at}: {recovered.lost[0]}" if there else f"{at} has no folder")
        return
    trial_id, trial = stored._trial_id, recovered.trial
    log.differing += [f"{at}: {reason}" for reason in recovered.lost]
    if stored.params != trial.params:
        log.differing.append(
            f"{at}: its parameters are {stored.params}, but other ones in its folder"
        )
    curve, known = trial.intermediate_values, stored.intermediate_values
    missing = sorted(curve.keys() - known.keys())
    for step in missing:
        _add_value(storage, stored, step, curve[step])
    if missing:
        log.filled.append(f"{at}: {len(missing)} reported value(s)")
    other = sorted(step for step in curve.keys() & known.keys() if curve[step] != known[step])
    if other:
        log.differing.append(f"{at}: its value(s) at step {', '.join(map(str, other))}")
    if not stored.state.is_finished() and trial.state.is_finished():
        for key, value in trial.user_attrs.items():
            storage.set_trial_user_attr(trial_id, key, value)
        for key, value in trial.system_attrs.items():
            storage.set_trial_system_attr(trial_id, key, value)
        storage.set_trial_state_values(trial_id, trial.state, trial.values)
        log.filled.append(f"{at}: its end ({trial.state.name.lower()})")
    elif not trial.state.is_finished():
        if stored.state.is_finished():
            log.differing.append(f"{at}: it has ended, but its folder has no outcome")
    elif (stored.state, stored.values) != (trial.state, trial.values):
        log.differing.append(
            f"{at}: {stored.state.name.lower()} with {stored.values}, but "
            f"{trial.state.name.lower()} with {trial.values} in its folder"
        )


def _add_value(storage: RetryingStorage, stored: FrozenTrial, step: int, value: float) -> None:
    """Add an intermediate value, also to an ended trial, which Optuna's own call refuses."""
    if not stored.state.is_finished():
        storage.set_trial_intermediate_value(stored._trial_id, step, value)
        return
    with storage.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO trial_intermediate_values "
                "(trial_id, step, intermediate_value, intermediate_value_type) "
                "VALUES (:trial, :step, :value, 'FINITE')"
            ),
            {"trial": stored._trial_id, "step": step, "value": value},
        )


def _surroundings(folder: StudyFolder, recipe: Recipe, space: Space) -> dict[str, Any]:
    """Return the settings around the space.

    They tell which parameters a trial without `trial.json` had.
    """
    try:
        stored = read_yaml(folder.settings)
        tree = stored["configuration"]
        explore, config = with_values(tree, flatten(tree["stages"]["explore"]), recipe.config)
    except (KeyError, TypeError, ConfigError):
        return {}
    prefix = recipe.path("")
    around = flatten(explore) | _reserved_values(folder, stored, space)
    around = {path.removeprefix(prefix): value for path, value in around.items()}
    if not {c.path for p in space.parameters for c in p.when} <= around.keys():
        with contextlib.suppress(TunewrightError, OSError):  # the data may be missing
            around |= recipe.data_facts(config)
    return around


def _reserved_values(
    folder: StudyFolder, stored: Mapping[str, Any], space: Space
) -> dict[str, Any]:
    """Return the reserved values of the trials.

    They are set by hand for kinds that only some trials choose.
    """
    wanted = set(stored.get("replaced", ())) - set(space.derived)
    reserved: dict[str, Any] = {}
    for number in sorted(folder.trial_numbers):
        if wanted <= reserved.keys():
            break
        with contextlib.suppress(ConfigError, DataError):
            tree = folder.trial(number).read_config()
            reserved |= {p: get(tree, p) for p in wanted if get(tree, p) is not None}
    return reserved
