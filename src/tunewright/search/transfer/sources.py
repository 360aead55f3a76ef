"""Sources of trials that ran elsewhere: another study, any Optuna storage, a CSV file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunewright.config.leaves import leaves
from tunewright.config.tree import Tree, flatten
from tunewright.errors import StudyError
from tunewright.recipes.recipe import Recipe
from tunewright.runs.atomic import read_yaml
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import OPEN, Goal, TrialState, rank_with_ties
from tunewright.runs.sqlite_url import sqlite_url
from tunewright.search.prepare import PreparedStudy
from tunewright.search.read_study import StudyLocation, is_study, locate, study_folder
from tunewright.search.storage.database import Settings
from tunewright.search.storage.urls import absolute_url, url_and_name, without_password
from tunewright.search.study.optuna_types import FAILURE
from tunewright.search.study.trial_tags import PAUSED
from tunewright.search.transfer.change_space import REBASED, candidate
from tunewright.search.transfer.external_storage import SQLITE, foreign_study
from tunewright.search.transfer.stored_trials import StoredStudy, StoredTrial
from tunewright.search.transfer.study_configuration import stored_configuration
from tunewright.search.transfer.trial_matching import Candidate, Mismatch

COMMAND = "tune --from"
"""The command that error hints about a missing study name."""
STORED_STATES = {"done": "COMPLETE", "pruned": "PRUNED", "infeasible": "PRUNED", "failed": "FAIL"}
"""Optuna's names of our states, for trials that ran elsewhere."""
LOST = Mismatch("its database has lost it")


@dataclass(frozen=True)
class TrialSource:
    """Trials that ran elsewhere.

    label: the name in their tags. place: the file or `URL#NAME`, normalised however it was typed.
    left: why some trials were not considered. ignored: names without a meaning here. best: the best
    trial's flat configuration, as far as it is known; None where nothing finished. is_start:
    whether the study begins at the best of these.
    """

    label: str
    place: str
    trials: tuple[tuple[StoredTrial, Candidate], ...]
    left: tuple[Mismatch, ...] = ()
    ignored: tuple[str, ...] = ()
    best: Mapping[str, Any] | None = None
    is_start: bool = False


def locate_study(study: str, runs: Path, typed: Sequence[str] = ()) -> StudyLocation:
    """Return the location of a study.

    study: a name under `runs`, a folder, a database file, or `URL#NAME`. typed: other URLs that the
    user gave, whose servers may be used.
    """
    if "://" in study or (Path(study).is_file() and not is_study(study, runs)):
        return storage_at(study)
    return locate(study, runs=runs, command=COMMAND, typed=typed)


def storage_at(address: str) -> StudyLocation:
    """Return the location of a storage given by URL or file, with or without `#NAME`."""
    if "://" in address:
        url, name = url_and_name(address)
        return StudyLocation(absolute_url(url), name, None)
    path, name = _file_and_name(address)
    file = path.resolve()
    if not file.is_file():
        raise StudyError(
            f"{path} does not exist", expected="a CSV file, an Optuna storage, or a database URL"
        )
    with file.open("rb") as stream:
        is_sqlite = stream.read(16).startswith(SQLITE)
    beside = StudyFolder(file.parent)
    return StudyLocation(
        sqlite_url(file) if is_sqlite else str(file),
        name,
        beside if beside.settings.exists() else None,
    )


def _file_and_name(address: str) -> tuple[Path, str | None]:
    """Split an address into a file and the name after `#`; the file itself may contain a `#`."""
    parts = address.split("#")
    for count in range(len(parts), 0, -1):
        if (file := Path("#".join(parts[:count]))).is_file():
            return file, "#".join(parts[count:]) or None
    return Path(parts[0]), "#".join(parts[1:]) or None


def place_name(url: str, name: str) -> str:
    """Return the text by which a study's location is stored and shown, without a password."""
    return f"{without_password(url)}#{name}"


def files_of(study: str, runs: Path) -> tuple[list[tuple[Path, Tree]], Mapping[str, Any]]:
    """Return the configuration and space of one of our studies, as files that could be typed.

    Also returns the reserved values (set for kinds that only some trials choose). Raises StudyError
    for a study of which only the database is known.
    """
    is_database = "://" in study or Path(study).is_file()
    folder = storage_at(study).folder if is_database else study_folder(study, runs, COMMAND)
    if folder is None:
        raise StudyError(
            f"{without_password(study)} is a database without a folder",
            expected="a recipe or a configuration beside it, such as tunewright tune pairs --from",
        )
    files = [stored_configuration(folder), (folder.space, read_yaml(folder.space))]
    return files, read_yaml(folder.settings).get("reserved") or {}


def own_study(
    study: str, recipe: Recipe, prepared: PreparedStudy, runs: Path, typed: Sequence[str] = ()
) -> TrialSource:
    """Return the finished trials of one of our studies; raise StudyError for another recipe's.

    typed: as for `locate_study`.
    """
    place = locate_study(study, runs, typed)
    stored = foreign_study(place.url, place.name)
    if stored.settings is None:
        raise StudyError(
            f"the study {stored.name!r} was made by another program",
            expected="a study of tunewright, whose configuration is known",
            remedy=f"To import only its trials: --import {without_password(study)}.",
        )
    return _of_ours(stored, stored.settings, place, recipe, prepared)


def any_storage(address: str, recipe: Recipe, prepared: PreparedStudy) -> TrialSource:
    """Return the trials of a study in any Optuna storage.

    address: a URL or a file, with `#NAME`.
    """
    place = storage_at(address)
    url, stored = place.url, foreign_study(place.url, place.name)
    wanted = tuple(goal.direction for goal in prepared.settings.goals)
    if stored.directions != wanted:
        raise StudyError(
            f"the study {stored.name!r} has the direction {', '.join(stored.directions)}",
            expected=f"{', '.join(wanted)}, the direction of the goal {prepared.settings.goal}",
            remedy=_remedy_for_directions(stored.directions, prepared.settings.goals),
        )
    if stored.settings is not None:
        return _of_ours(stored, stored.settings, place, recipe, prepared)
    trials, left = [], [LOST] * stored.lost
    renamed, ignored = parameter_names(
        recipe, prepared, [name for old in stored.trials for name in old.parameters]
    )
    for old in stored.trials:
        if old.state in OPEN:
            left.append(Mismatch("it has not ended"))
            continue
        parameters = {renamed[k]: v for k, v in old.parameters.items() if k in renamed}
        own = foreign_trial(prepared, old.number, old.state, parameters, old.values)
        own = replace(own, began=old.began, ended=old.ended, attributes=old.attributes)
        trials.append((own, Candidate(old.number, old.state, parameters, foreign=True)))
    return TrialSource(
        stored.name, place_name(url, stored.name), tuple(trials), tuple(left), ignored
    )


def foreign_trial(
    prepared: PreparedStudy,
    number: int,
    state: TrialState,
    parameters: Mapping[str, Any],
    scores: tuple[float, ...] | None,
) -> StoredTrial:
    """Return a trial of which only parameters, state and scores are known.

    It has no curve, since the meaning of its steps is unknown, so that no trial of ours is pruned
    by it; and of constraints only whether it was feasible.
    """
    several = len(prepared.settings.goals) > 1
    known_scores = scores if state == "done" or (state == "pruned" and not several) else None
    kept = dict.fromkeys(prepared.settings.constraints, 0.0)
    excess = {FAILURE: float(state == "infeasible")} | kept
    return StoredTrial(
        number, state, STORED_STATES[state], parameters, known_scores, constraints=excess
    )


def parameter_names(
    recipe: Recipe, prepared: PreparedStudy, names: Sequence[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Map foreign parameter names to our spelling; also return those without a meaning here.

    Settings that are not searched here count as well: a trial must have had their values.
    """
    known = {*flatten(prepared.explore), *leaves(recipe.config)}
    renamed: dict[str, str] = {}
    for name in dict.fromkeys(names):
        own = recipe.dialect.aliases.get(name, name)
        own = own.removeprefix(recipe.path("")) if recipe.open_section else own
        if own in prepared.space or recipe.path(own) in known:
            renamed[name] = own
    twice = [name for name, own in renamed.items() if list(renamed.values()).count(own) > 1]
    if twice:
        raise StudyError(f"{' and '.join(twice)} are the same parameter", expected="one of them")
    return renamed, tuple(name for name in dict.fromkeys(names) if name not in renamed)


def _of_ours(
    stored: StoredStudy,
    known: Settings,
    place: StudyLocation,
    recipe: Recipe,
    prepared: PreparedStudy,
) -> TrialSource:
    wanted = prepared.settings
    if known.recipe != wanted.recipe:
        raise StudyError(
            f"the study {stored.name!r} belongs to the recipe {known.recipe!r}",
            expected=f"a study of {wanted.recipe!r}",
        )
    folder = place.folder
    if folder is not None and read_yaml(folder.settings).get("name") != stored.name:
        folder = None  # it belongs to another study in the same database
    other_goal = ""
    if known.goals != wanted.goals:
        way = f" ({known.direction})" if known.goal == wanted.goal else ""
        other_goal = f"its goal is {known.goal}{way}, and here it is {wanted.goal}"
    elif known.constraints != wanted.constraints:
        other_goal = f"its constraints are {[*known.constraints]}, here {[*wanted.constraints]}"
    elif known.seeds != wanted.seeds:
        other_goal = f"its scores are of {known.seeds} seed(s), and here of {wanted.seeds}"
    trials, left = [], [LOST] * stored.lost
    for old in stored.trials:
        if other_goal:
            left.append(Mismatch(other_goal))
        elif old.state == "paused" and old.curve:
            trials.append((_as_left(old), candidate(old, known, folder)))
        elif old.state in (*OPEN, "failed"):
            left.append(Mismatch("it failed" if old.state == "failed" else "it has not ended"))
        else:
            attributes = {k: v for k, v in old.attributes.items() if k not in (REBASED, PAUSED)}
            own = candidate(old, known, folder)
            trials.append((replace(old, attributes=attributes), own))
    return TrialSource(
        stored.name,
        place_name(place.url, stored.name),
        tuple(trials),
        tuple(left),
        best=_best(stored, known, wanted.goals[0], folder, recipe),
    )


def _as_left(old: StoredTrial) -> StoredTrial:
    """Return a trial that waits at a rung as one that was pruned there, with its curve."""
    kept = {k: v for k, v in old.attributes.items() if k not in (REBASED, PAUSED)}
    last = (old.curve[max(old.curve)],)
    excess = {FAILURE: 0.0, **old.constraints}
    ended = replace(old, values=last, attributes=kept, constraints=excess)
    return replace(ended, state="pruned", stored_state=STORED_STATES["pruned"])


def _best(
    stored: StoredStudy, known: Settings, wanted: Goal, folder: StudyFolder | None, recipe: Recipe
) -> Mapping[str, Any] | None:
    """Return the best configuration by the study's own goal, or by ours for the same metric."""
    first = wanted if wanted.metric == known.metric else known.goals[0]
    goals = (first, *known.goals[1:])
    scored = [old for old in stored.trials if old.state == "done" and old.values]
    if not scored:
        return None
    placed = rank_with_ties(
        [
            [-goal.sign * value for goal, value in zip(goals, old.values or (), strict=True)]
            for old in scored
        ]
    )
    _, _, best = min(zip(placed, (old.number for old in scored), scored, strict=True))
    found = candidate(best, known, folder)
    if found.ran is not None:
        return flatten(found.ran)
    own = {recipe.path(name): value for name, value in found.parameters.items()}
    return {**found.stored, **own}


def _remedy_for_directions(stored: Sequence[str], goals: Sequence[Goal]) -> str:
    """Return what makes the directions of a stored study those of the goals."""
    if len(stored) == len(goals):
        turned = [f"{goal.metric}:{way}" for goal, way in zip(goals, stored, strict=True)]
        words = turned[0] if len(turned) == 1 else f"[{','.join(turned)}]"
        return f"Reverse the goal with goal={words} if it means the same."
    kinds = ", ".join(f"METRIC:{way}" for way in stored)
    return (
        f"Its trials have {len(stored)} score(s) each and this search has {len(goals)} goal(s): "
        f"search with the goals {kinds}, or leave its trials out."
    )
