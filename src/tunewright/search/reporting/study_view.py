"""A study as it was read: its record, its overview, and what they are asked for."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.analysis.audit.judge import FidelityAudit
from tunewright.analysis.findings.finding import StudyContext
from tunewright.analysis.narrowing.narrow import KEEP, narrow, record_for
from tunewright.analysis.narrowing.narrowing import Narrowing
from tunewright.analysis.overview import StudyOverview
from tunewright.analysis.shares.importances import METHODS, Importances
from tunewright.config.apply import with_values
from tunewright.config.tree import Tree, flatten, get
from tunewright.errors import (
    StudyError,
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
from tunewright.search.prepare import full_configuration
from tunewright.search.reporting.study_metrics import find_metric, study_metrics
from tunewright.search.results import write_top_configs
from tunewright.search.study.importances import ImportanceSource
from tunewright.search.study_file import read_study_file
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
