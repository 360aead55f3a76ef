"""Read a study from outside: no lock, no torch, while it runs or long after."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.analysis.audit.judge import FidelityAudit
from tunewright.analysis.findings.find import find
from tunewright.analysis.findings.finding import StudyContext
from tunewright.analysis.narrowing.narrow import KEEP, narrow, record_for
from tunewright.analysis.narrowing.narrowing import Narrowing
from tunewright.analysis.narrowing.read_conditions import specification_of
from tunewright.analysis.overview import StudyOverview, overview, trial_row
from tunewright.analysis.shares.importances import METHODS, Importances
from tunewright.config.apply import with_values
from tunewright.config.tree import Tree, flatten, get
from tunewright.errors import (
    ConfigError,
    StudyError,
    TunewrightError,
    UsageError,
    did_you_mean,
)
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.registry import find_recipe
from tunewright.reports.notebook import study_summary, table
from tunewright.result import Result, to_json
from tunewright.runs.atomic import read_yaml
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import StudyRecord, Trial
from tunewright.runs.regular_files import exists
from tunewright.runs.sqlite_url import is_text, sqlite_file, sqlite_url
from tunewright.search.audit.stored_audit import stored_result
from tunewright.search.prepare import full_configuration
from tunewright.search.recovery.lost_rows import refuse_lost_rows
from tunewright.search.replication.replicate import read_replication, with_winner
from tunewright.search.reporting.study_metrics import find_metric, study_metrics
from tunewright.search.results import write_top_configs
from tunewright.search.storage.database import silence_optuna
from tunewright.search.storage.journal import journal_file
from tunewright.search.storage.trusted_servers import own_url
from tunewright.search.storage.urls import url_of, without_password
from tunewright.search.study.importances import ImportanceSource
from tunewright.search.study.loaded_study import LoadedStudy, load_study
from tunewright.search.study.notes import save_note
from tunewright.search.study_file import damage_error, read_study_file
from tunewright.spaces.space import Parameter, Space

if TYPE_CHECKING:
    from tunewright.analysis.grid.heat_map import HeatMap


@dataclass(frozen=True)
class StudyView(Result):
    """A study's record and its overview.

    folder: None when only a database was given. replaced: the paths that trials replaced besides
    their parameters: derived ones and reserved ones. files: the configurations that were written.
    chosen: the trial that was asked for, which is then the only one in `overview.top`. heat_map,
    plots: what was drawn, and the files. specification: the space, as a space file has it, as far
    as it is known. parameters: what was searched, without conditions. context: how the study was
    run. audit: what full trainings say about the search's fidelity; None where there were none.
    fingerprints: of its data by set, where they are stored.
    importance_source: behind `importances`.
    """

    record: StudyRecord
    overview: StudyOverview
    folder: StudyFolder | None
    configuration: Tree | None
    replaced: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    chosen: Trial | None = None
    heat_map: "HeatMap | None" = None
    plots: tuple[Path, ...] = ()
    specification: Mapping[str, Any] = field(default_factory=dict)
    context: StudyContext = field(default_factory=StudyContext)
    audit: FidelityAudit | None = None
    parameters: tuple[Parameter, ...] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    importance_source: ImportanceSource | None = None

    @property
    def winner(self) -> Trial | None:
        """The trial that replicates chose, else the one with the best score."""
        return self.record.winner

    def importances(self, metric: str | None = None, method: str = "ped-anova") -> Importances:
        """Return the importance of each parameter for a metric, with intervals.

        metric: None for the first goal; `NAME`, or `NAME:max` and `NAME:min`. method: `ped-anova`
        or `fanova`. Raises UsageError for another one, or a metric that no finished trial has. See
        `search.study.importances.ImportanceSource.importances`.
        """
        evaluator = next((known for known in METHODS if known == method), None)
        if evaluator is None:
            raise UsageError(
                f"the importance {method!r}",
                expected=f"one of {', '.join(METHODS)}",
                remedy=did_you_mean(method, list(METHODS)),
            )
        assert self.importance_source is not None  # of every study that was read
        goal = None if metric is None else find_metric(self.record, metric)
        return self.importance_source.importances(goal, evaluator)

    def with_importances(self, metric: str | None = None, method: str = "ped-anova") -> "StudyView":
        """Return the study with intervals of its importances, also for its other metrics.

        metric, method: as for `importances`. Of a large study, other metrics are left out, with a
        note.
        """
        details = self.importances(metric, method)
        others: list[Importances] = []
        if metric is None and self.importance_source is not None:
            others, left_out = self.importance_source.other_importances(study_metrics(self.record))
            if left_out:
                names = ", ".join(left_out[:3]) + (" and others" if len(left_out) > 3 else "")
                note = f"not computed for {names}, to save time; --metric {left_out[0]} does it"
                details = replace(details, notes=[*details.notes, note])
        shown = replace(self.overview, importance_details=details, other_importances=others)
        if details.metric == self.record.goal:
            shown = replace(shown, importances=details.shares, importance_notes=details.notes)
        return replace(self, overview=shown)

    def as_json(self) -> dict[str, Any]:
        """Return the overview and the files; the heat map and the audit only where there is one."""
        found = {**self.overview.as_json(), "files": to_json(self.files)}
        if self.audit is not None:
            found["audit"] = self.audit.as_json()
        if self.heat_map is not None:
            found |= {"heat_map": self.heat_map.as_json(), "plots": to_json(self.plots)}
        return found

    def narrow(
        self,
        *,
        keep: float = KEEP,
        lock: bool = False,
        regions: int = 1,
        metric: str | None = None,
    ) -> Narrowing:
        """Return the space of the next stage, by the trials of this one.

        metric: the goal to narrow for, of several. See `analysis.narrowing.narrow.narrow`.
        """
        record = self.record if metric is None else record_for(self.record, metric)
        return narrow(
            record, self.specification, self.context, keep=keep, lock=lock, regions=regions
        )

    @property
    def define_by_run(self) -> bool:
        """Whether the trials name their own parameters while they run."""
        stored = {} if self.folder is None else read_study_file(self.folder)
        space = (stored.get("settings") or {}).get("space") or {}
        return bool(space.get("define_by_run"))

    def _repr_html_(self) -> str:
        """Return the best trial, the findings and the importances."""
        parts = [study_summary(self.record, self.overview.replication)]
        if self.overview.findings:
            rows = [(one.title, one.evidence, one.change) for one in self.overview.findings]
            parts.append(table(("finding", "evidence", "change"), rows))
        if self.overview.importances:
            ranked = sorted(self.overview.importances.items(), key=lambda item: -item[1])
            parts.append(table(("parameter", "importance"), ranked))
        return "".join(parts)

    def save_configs(self, count: int) -> list[Path]:
        """Write `top_configs/01.yaml` ...; raise StudyError when the study has no folder."""
        folder, _ = self._require_folder("analyze runs/STUDY --save-configs")
        usage = find_recipe(self.record.recipe).usage
        return write_top_configs(folder, self.record, self.configure, count, usage)

    def trial(self, number: int) -> Trial:
        """Return a trial; raise StudyError for a number that the study does not have."""
        found = next((trial for trial in self.record.trials if trial.number == number), None)
        if found is None:
            numbers = [trial.number for trial in self.record.trials]
            raise StudyError(
                f"the study {self.record.name!r} has no trial {number}",
                expected=f"a number from {min(numbers)} to {max(numbers)}"
                if numbers
                else "a trial",
                remedy=f"To see them: tunewright analyze {shlex.quote(self.record.name)}.",
            )
        return found

    def configure(self, trial: Trial) -> Tree:
        """Return the configuration of a trial at full fidelity: of the study's final stage.

        Raises StudyError when the study has no folder, and DataError when the trial has none.
        """
        recipe = find_recipe(self.record.recipe)
        folder, tree = self._require_folder("train runs/STUDY --trial N")
        if trial.imported_from:
            return full_configuration(recipe, tree, _without_folder(recipe, folder, tree, trial))
        ran = folder.trial(trial.number).read_config()
        beside = {path: get(ran, path) for path in self.replaced if get(ran, path) is not None}
        chosen = {recipe.path(name): value for name, value in trial.parameters.items()}
        return full_configuration(recipe, tree, {**beside, **chosen})

    def _require_folder(self, command: str) -> tuple[StudyFolder, Tree]:
        """Return the folder and the configuration. command: with the folder, for the message."""
        if self.folder is None or self.configuration is None:
            raise StudyError(
                f"the study {self.record.name!r} was read from a database without its folder",
                expected="its folder, which holds the rest of the configuration",
                remedy=f"Name the folder: tunewright {command}.",
            )
        return self.folder, self.configuration


def _without_folder(
    recipe: Recipe, folder: StudyFolder, tree: Tree, trial: Trial
) -> dict[str, Any]:
    """Return what a trial of another study replaces here: its values, derived and reserved ones."""
    reserved = read_yaml(folder.settings).get("reserved") or {}
    derived = read_yaml(folder.space).get("derived") or {}
    explore, config = with_values(tree, flatten(tree["stages"]["explore"]), recipe.config)
    around = flatten(get(explore, recipe.open_section, {}) if recipe.open_section else explore)
    facts = recipe.data_facts(config) if derived else {}
    complete = Space((), (), derived, {**around, **reserved, **facts}).complete(trial.parameters)
    return {**reserved, **{recipe.path(name): value for name, value in complete.items()}}


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
    )


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
    raise StudyError(
        f"no study {study!r} in {runs}",
        expected=f"one of {', '.join(known)}" if known else "an existing study",
        remedy=did_you_mean(study, known),
    )
