"""Read a study from outside: no lock, no torch, while it runs or long after."""

import random
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunewright.analysis.findings.find import find
from tunewright.analysis.findings.finding import StudyContext
from tunewright.analysis.narrowing.read_conditions import specification_of
from tunewright.analysis.overview import overview, trial_row
from tunewright.config.apply import with_values
from tunewright.config.tree import Tree, flatten, get
from tunewright.errors import (
    ConfigError,
    StudyError,
    TunewrightError,
    UsageError,
    did_you_mean,
)
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import StudyFolder
from tunewright.runs.regular_files import exists, is_file
from tunewright.runs.sqlite_url import is_text, sqlite_file, sqlite_url
from tunewright.search.audit.stored_audit import stored_result
from tunewright.search.recovery.lost_rows import refuse_lost_rows
from tunewright.search.replication.replicate import read_replication, with_winner
from tunewright.search.reporting.study_view import StudyView
from tunewright.search.storage.database import silence_optuna
from tunewright.search.storage.journal import journal_file
from tunewright.search.storage.trusted_servers import own_url
from tunewright.search.storage.urls import url_of, without_password
from tunewright.search.study.loaded_study import LoadedStudy, load_study
from tunewright.search.study.notes import save_note
from tunewright.search.study_file import damage_error, read_study_file
from tunewright.spaces.points import identity
from tunewright.spaces.sample import draw_untried
from tunewright.spaces.specification import read_specification


def read_study(
    study: str | None,
    *,
    storage: str | None = None,
    name: str | None = None,
    runs: Path = Path("runs"),
    top: int = 10,
    trial: int | None = None,
    note: str | None = None,
) -> StudyView:
    """Read a study by name, by folder, or straight from a database.

    study: a name under `runs`, a folder, a SQLite file or a journal file of Optuna; None when there
    is only one. storage: the study's database, which overrides the one stored in its folder (for
    example, with a password). trial: the only one to list. note: stored on that trial first; an
    empty one removes what was there. Raises UsageError for a note without a trial, or one that is
    no text.
    """
    silence_optuna()
    place = locate(study or name, storage=storage, runs=runs)
    if note is not None:
        if trial is None or not is_text(note):
            raise UsageError(
                "a note without its trial" if trial is None else f"the note {note!a}",
                expected="a trial and a text, such as --trial 17 --note 'unstable'",
            )
        before = _view(place, name, top)
        before.trial(trial)
        save_note(place.url, before.record.name, place.folder, trial, note)
    view = _view(place, name, top)
    if trial is None:
        return view
    chosen = view.trial(trial)
    return replace(view, overview=replace(view.overview, top=[trial_row(chosen)]), chosen=chosen)


def _view(place: "StudyLocation", name: str | None, top: int) -> StudyView:
    folder, tree = place.folder, None
    if folder is not None:
        settings = read_study_file(folder)
        tree = settings["configuration"]
        refuse_lost_rows(place.url, str(place.name), folder)
    loaded = load_study(place.url, place.name if folder is not None else name or place.name)
    replication = None
    if folder is not None and tree is not None:
        record, replication = with_winner(loaded.record, read_replication(folder, tree))
        loaded = replace(loaded, record=record)
    source = loaded.importance_source
    shown = overview(loaded.record, loaded.importances, top=top, judged=source.judged)
    context = _context(loaded, folder, tree)
    shown = replace(shown, findings=find(loaded.record, loaded.parameters, context))
    view = StudyView(
        loaded.record,
        shown,
        None,
        None,
        specification=_specification(loaded),
        parameters=loaded.parameters,
        context=context,
        fingerprints=loaded.settings.data if loaded.settings is not None else {},
        importance_source=source,
    )
    if folder is None:
        return view
    shown = replace(shown, storage=without_password(place.url), replication=replication)
    return replace(
        view,
        overview=shown,
        folder=folder,
        configuration=tree,
        replaced=tuple(settings.get("replaced", ())),
        audit=stored_result(folder, loaded.record),
    )


def _specification(loaded: LoadedStudy) -> Mapping[str, Any]:
    """Return the stored space of a study, or what its trials say of it."""
    stored = loaded.settings.space if loaded.settings is not None else {}
    if stored.get("parameters"):
        return stored
    return specification_of(loaded.record, loaded.parameters)


def _context(loaded: LoadedStudy, folder: StudyFolder | None, tree: Tree | None) -> StudyContext:
    """Return how a study was run. folder, tree: None where only its database is known."""
    known = loaded.settings
    if known is None:
        return StudyContext()
    if folder is None or tree is None:
        return StudyContext(known.recipe, configuration=known.configuration, pruner=known.pruner)
    try:
        recipe = find_recipe(known.recipe)
    except TunewrightError:  # of a package that is not installed here
        return StudyContext(configuration=known.configuration, pruner=known.pruner)

    def accepts(path: str, value: Any) -> bool:
        try:
            with_values(tree, {recipe.path(path): value}, recipe.config)
        except ConfigError:
            return False
        return True

    return StudyContext(
        recipe=known.recipe,
        study=str(folder.path),
        space_file=str(folder.space),
        configuration=known.configuration,
        final=flatten(get(tree, "stages.final") or {}),
        pruner=known.pruner,
        fingerprints=known.data,
        section=recipe.open_section,
        total=get(tree, "study.trials"),
        accepts=accepts,
        exhausted=_is_exhausted(loaded, known.space, known.configuration),
    )


def _is_exhausted(
    loaded: LoadedStudy, specification: Mapping[str, Any], configuration: Mapping[str, Any]
) -> bool:
    """Return whether the trials have every point of the space; false where it is not known."""
    if not specification.get("parameters"):
        return False
    try:
        space = read_specification(specification, configuration)
    except TunewrightError:
        return False
    tried = {identity(space, trial.parameters) for trial in loaded.record.trials}
    return draw_untried(space, tried, random.Random(0)) is None


@dataclass(frozen=True)
class StudyLocation:
    """The location of a study.

    name: None when its database does not tell. folder: if it has one.
    """

    url: str
    name: str | None
    folder: StudyFolder | None


def locate(
    study: str | None,
    *,
    storage: str | None = None,
    runs: Path = Path("runs"),
    command: str = "analyze",
    typed: Sequence[str] = (),
) -> StudyLocation:
    """Return the location of a study named as for `read_study`.

    command: the command that error hints suggest. typed: URLs that the user gave for other things,
    whose servers may be used as well; see `trusted_servers.own_url`.
    """
    if study is not None and (
        "://" in study
        or journal_file(study) is not None
        or (Path(study).is_file() and not is_study(study, runs))
    ):
        storage, study = study, None
    given = None
    if storage is not None:
        given = url_of(storage)
        if study is None or not is_study(study, runs):
            file = sqlite_file(given) or journal_file(given)
            if file is not None and not file.exists():
                raise StudyError(f"{file} does not exist", expected="the database of a study")
            return StudyLocation(given, study, None)
    folder = study_folder(study, runs, command)
    settings = read_study_file(folder)
    return StudyLocation(
        given or stored_url(folder, settings, typed), str(settings["name"]), folder
    )


def stored_url(folder: StudyFolder, settings: Tree, typed: Sequence[str] = ()) -> str:
    """Return the URL of a study's database stored in its folder; for servers see `own_url`."""
    if not settings.get("storage"):
        return sqlite_url(folder.database.resolve())
    return own_url(str(settings["storage"]), folder.settings, typed)


def is_study(study: str, runs: Path) -> bool:
    """Return whether there is a study's folder of this name, or in `runs`."""
    return any(exists(path / "study.yaml") for path in (Path(study), runs / study))


def study_folder(study: str | None, runs: Path, command: str = "analyze") -> StudyFolder:
    """Return the folder of a study by name or by path; the only one when `study` is None."""
    known = sorted(file.parent.name for file in runs.glob("*/study.yaml"))
    if study is None:
        if len(known) == 1:
            return StudyFolder(runs / known[0])
        raise StudyError(
            f"{len(known)} studies in {runs}",
            expected=f"one of {', '.join(known)}" if known else "an existing study",
            remedy=f"Name it: tunewright {command} STUDY."
            if known
            else "Begin one: tunewright tune.",
        )
    for path in (Path(study), runs / study):
        if (path / "study.yaml").exists():
            return StudyFolder(path)
    for path in (Path(study), runs / study):
        if (path / "study.db").is_file():
            if command == "repair":
                return StudyFolder(path)
            raise damage_error(StudyFolder(path), f"{path} holds a study.db and no study.yaml")
    for path in (Path(study), runs / study):
        if is_file(path / "ensemble.json"):
            place = shlex.quote(str(path))
            raise StudyError(
                f"{path} is an ensemble",
                expected="a study",
                remedy=f"Its members, weights and scores: tunewright evaluate {place}. What an "
                "ensemble of trials gains stands in the report of their study.",
            )
    raise StudyError(
        f"no study {study!r} in {runs}",
        expected=f"one of {', '.join(known)}" if known else "an existing study",
        remedy=did_you_mean(study, known),
    )
