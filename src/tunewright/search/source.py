"""Where trials come from that ran elsewhere: another study, any Optuna storage, a CSV file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunewright.config.leaves import leaves
from tunewright.config.tree import Tree, copied, drop, flatten
from tunewright.errors import StudyError
from tunewright.recipes.recipe import Recipe
from tunewright.runs.atomic import read_yaml
from tunewright.runs.folder import StudyFolder
from tunewright.search.fitting import Candidate, Misfit
from tunewright.search.foreign import SQLITE, foreign_study
from tunewright.search.look import find_study
from tunewright.search.past import Past, Stored
from tunewright.search.prepare import Prepared
from tunewright.search.rebase import REBASED, candidate
from tunewright.search.storage import Settings, absolute_url
from tunewright.search.storage import _without_password as without_password

STORED_STATES = {"done": "COMPLETE", "pruned": "PRUNED", "infeasible": "PRUNED", "failed": "FAIL"}
"""Our states as Optuna calls them in trials that we did not run."""


@dataclass(frozen=True)
class Source:
    """Trials that ran elsewhere.

    label: what stands in their marks. place: the file or `URL#NAME`, the same however it was
    typed. left: why others were not even looked at. ignored: names that mean nothing here. best:
    the best trial's configuration, flat, as far as it is known; None where nothing finished.
    is_start: the study begins at the best of these.
    """

    label: str
    place: str
    trials: tuple[tuple[Past, Candidate], ...]
    left: tuple[Misfit, ...] = ()
    ignored: tuple[str, ...] = ()
    best: Mapping[str, Any] | None = None
    is_start: bool = False


@dataclass(frozen=True)
class Place:
    """Where a study lies. folder: None when only its database is known."""

    url: str
    name: str | None
    folder: StudyFolder | None


def located(study: str, runs: Path) -> Place:
    """A study by its name under `runs`, its folder, its database file, or `URL#NAME`."""
    if "://" in study or Path(study).is_file():
        return storage_at(study)
    folder = find_study(study, runs)
    settings = read_yaml(folder.settings)
    url = settings["storage"] or absolute_url(f"sqlite:///{folder.database}")
    return Place(url, str(settings["name"]), folder)


def storage_at(address: str) -> Place:
    """A storage by its URL or its file, with or without `#NAME`."""
    if "://" in address:
        url, _, name = address.partition("#")
        return Place(absolute_url(url), name or None, None)
    path, _, name = (address, "", "") if Path(address).exists() else address.partition("#")
    file = Path(path).resolve()
    if not file.is_file():
        raise StudyError(
            f"{path} does not exist", expected="a CSV file, an Optuna storage, or a database URL"
        )
    with file.open("rb") as stream:
        is_sqlite = stream.read(16).startswith(SQLITE)
    beside = StudyFolder(file.parent)
    return Place(
        f"sqlite:///{file}" if is_sqlite else str(file),
        name or None,
        beside if beside.settings.exists() else None,
    )


def place_name(url: str, name: str) -> str:
    """What is kept and shown of where a study lies; no password is."""
    return f"{shown(url)}#{name}"


def shown(address: str) -> str:
    """An address without its password; a path as it is."""
    return without_password(address) if "://" in address else address


def files_of(study: str, runs: Path) -> tuple[list[tuple[Path, Tree]], Mapping[str, Any]]:
    """The configuration of one of our studies and its space, as files that could be typed.

    Beside them what was set for kinds that only some trials choose.

    StudyError for a study of which only the database is known.
    """
    folder = located(study, runs).folder
    if folder is None:
        raise StudyError(
            f"{shown(study)} is a database alone",
            expected="a recipe or a configuration beside it, such as tunewright tune pairs --from",
        )
    stored = read_yaml(folder.settings)
    tree = copied(stored["configuration"])
    for path in ("study.name", "study.storage"):  # those are of the old study alone
        drop(tree, path)
    files = [(folder.settings, tree), (folder.space, read_yaml(folder.space))]
    return files, stored.get("reserved") or {}


def own_study(study: str, recipe: Recipe, prepared: Prepared, runs: Path) -> Source:
    """The finished trials of one of our studies; StudyError for another recipe's."""
    place = located(study, runs)
    stored = foreign_study(place.url, place.name)
    if stored.settings is None:
        raise StudyError(
            f"the study {stored.name!r} was made by another program",
            expected="one of tunewright, whose configuration is known",
            remedy=f"Take its trials alone: --import {shown(study)}.",
        )
    return _of_ours(stored, stored.settings, place, recipe, prepared)


def any_storage(address: str, recipe: Recipe, prepared: Prepared) -> Source:
    """The trials of a study in any Optuna storage. address: a URL or a file, with `#NAME`."""
    place = storage_at(address)
    url, stored = place.url, foreign_study(place.url, place.name)
    wanted = prepared.settings.direction
    if stored.directions != (wanted,):
        raise StudyError(
            f"the study {stored.name!r} has the direction {', '.join(stored.directions)}",
            expected=f"{wanted}, the direction of the goal {prepared.settings.goal}",
            remedy=f"Turn the goal round with goal={prepared.settings.metric}:"
            f"{stored.directions[0]} if it means the same.",
        )
    if stored.settings is not None:
        return _of_ours(stored, stored.settings, place, recipe, prepared)
    trials, left = [], []
    renamed, ignored = parameter_names(
        recipe, prepared, [name for past in stored.pasts for name in past.parameters]
    )
    for past in stored.pasts:
        if past.state == "running":
            left.append(Misfit("it has not ended"))
            continue
        score = past.values[0] if past.values else None
        parameters = {renamed[k]: v for k, v in past.parameters.items() if k in renamed}
        own = foreign_past(past.number, past.state, parameters, score)
        own = replace(own, began=past.began, ended=past.ended)
        trials.append((own, Candidate(past.number, past.state, parameters, foreign=True)))
    return Source(stored.name, place_name(url, stored.name), tuple(trials), tuple(left), ignored)


def foreign_past(
    number: int, state: Any, parameters: Mapping[str, Any], score: float | None
) -> Past:
    """A trial of which no more is known than its parameters, its state and its score.

    No curve, since nobody knows what its steps were; so no trial of ours is pruned by it.
    """
    values = None if score is None or state == "failed" else (score,)
    failure = {"failure": float(state == "infeasible")}
    return Past(number, state, STORED_STATES[state], parameters, values, constraints=failure)


def parameter_names(
    recipe: Recipe, prepared: Prepared, names: Sequence[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Foreign names of parameters in our spelling, and those that mean nothing here.

    Settings that are not searched here are known as well: a trial must have had their values.
    """
    known = {*flatten(prepared.explore), *leaves(recipe.config)}
    renamed: dict[str, str] = {}
    for name in dict.fromkeys(names):
        own = recipe.aliases.get(name, name)
        own = own.removeprefix(recipe.path("")) if recipe.searched else own
        if own in prepared.space or recipe.path(own) in known:
            renamed[name] = own
    twice = [name for name, own in renamed.items() if list(renamed.values()).count(own) > 1]
    if twice:
        raise StudyError(f"{' and '.join(twice)} are the same parameter", expected="one of them")
    return renamed, tuple(name for name in dict.fromkeys(names) if name not in renamed)


def _of_ours(
    stored: Stored, known: Settings, place: Place, recipe: Recipe, prepared: Prepared
) -> Source:
    wanted = prepared.settings
    if known.recipe != wanted.recipe:
        raise StudyError(
            f"the study {stored.name!r} belongs to the recipe {known.recipe!r}",
            expected=f"a study of {wanted.recipe!r}",
        )
    other_goal = ""
    if (known.metric, known.direction) != (wanted.metric, wanted.direction):
        other_goal = f"its goal is {known.metric}:{known.direction}, and here it is "
        other_goal += f"{wanted.metric}:{wanted.direction}"
    trials, left = [], []
    for past in stored.pasts:
        if other_goal:
            left.append(Misfit(other_goal))
        elif past.state in ("running", "failed"):
            left.append(Misfit("it has not ended" if past.state == "running" else "it failed"))
        else:
            attributes = {k: v for k, v in past.attributes.items() if k != REBASED}
            own = candidate(past, known, place.folder)
            trials.append((replace(past, attributes=attributes), own))
    return Source(
        stored.name,
        place_name(place.url, stored.name),
        tuple(trials),
        tuple(left),
        best=_best(stored, known, place, recipe),
    )


def _best(
    stored: Stored, known: Settings, place: Place, recipe: Recipe
) -> Mapping[str, Any] | None:
    scored = [past for past in stored.pasts if past.state == "done" and past.values]
    if not scored:
        return None
    sign = -1.0 if known.direction == "max" else 1.0
    best = min(scored, key=lambda past: (sign * (past.values or (0.0,))[0], past.number))
    found = candidate(best, known, place.folder)
    if found.ran is not None:
        return flatten(found.ran)
    own = {recipe.path(name): value for name, value in found.parameters.items()}
    return {**found.stored, **own}
