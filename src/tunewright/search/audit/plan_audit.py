"""Plan an audit: which configurations of a study would be trained, and at which fidelity."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunewright.analysis.audit.agreement import FEWEST
from tunewright.config.apply import with_values
from tunewright.config.compose import Composition
from tunewright.config.tree import flatten
from tunewright.errors import ConfigError, StudyError, TunewrightError, UsageError
from tunewright.recipes.recipe import Recipe
from tunewright.result import Result
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.quantities import duration
from tunewright.runs.record import Trial
from tunewright.search.audit.choose_trials import choose_trials, rankable_trials
from tunewright.search.audit.stored_audit import audit_folder, read_audit, read_run
from tunewright.search.reporting.study_view import StudyView
from tunewright.search.study.compatibility import NOT_COMPARED
from tunewright.search.training_run import free_folder
from tunewright.search.transfer.trial_matching import differences

Compose = Callable[[Trial], Composition]
"""Returns the configuration of a trial in full, with what was typed."""
LEAVES_NOTHING = {
    "training.keep_last": 0,
    "training.keep_best": 0,
    "training.keep_predictions": False,
}
"""An audit wants scores; its runs keep no weights once they have ended."""


@dataclass(frozen=True)
class AuditedConfiguration:
    """A trial's configuration to train in full. folders: one for each seed."""

    trial: Trial
    composed: Composition
    folder: RunFolder

    @property
    def folders(self) -> list[RunFolder]:
        """The folders of its runs."""
        seeds = self.composed.tree.get("seeds") or []
        return [self.folder.by_seed(seed) for seed in seeds] or [self.folder]


@dataclass(frozen=True)
class AuditPlan(Result):
    """What an audit would train.

    values: what its fidelity sets otherwise than the search, by path. trials: whose configurations
    are trained, best first. done: those that were trained before. epochs: of each, at most.
    seconds: the time that is left with one at a time, if an epoch takes as long as in the search
    and none is stopped early; None where that is not known.
    """

    study: str
    values: Mapping[str, Any]
    trials: Sequence[int]
    done: Sequence[int]
    epochs: int
    seconds: float | None
    notes: Sequence[str] = ()


def plan_audit(
    view: StudyView, recipe: Recipe, compose: Compose, count: int
) -> tuple[AuditPlan, list[AuditedConfiguration]]:
    """Choose what an audit trains, and check it; nothing is written.

    Raises StudyError for a study without a folder or with too few trials, ConfigError where the
    search's fidelity is the full one already.
    """
    folder, record = require_folder(view), view.record
    if count < FEWEST:
        raise UsageError(
            f"--configurations {count}",
            expected=f"{FEWEST} or more, of which a ranking can be compared",
        )
    ranked = rankable_trials(record)
    if len(ranked) < FEWEST:
        raise StudyError(
            f"the study {record.name!r} has {len(ranked)} trials that can be ranked",
            expected=f"{FEWEST} finished or pruned ones that differ, so that there is a ranking",
            remedy="Call tunewright.tune again, with more trials."
            if recipe.name == "function"
            else f"Run more: tunewright tune --resume {shlex.quote(str(folder.path))} "
            f"--trials {len(record.own) + 10}.",
        )
    audited, notes = list[AuditedConfiguration](), list[str]()
    for trial in choose_trials(ranked, count, read_audit(folder).chosen):
        try:
            composed = _keep_nothing(recipe, compose(trial))
        except TunewrightError as error:
            notes.append(f"trial {trial.number} is left out: {error.came}")
            continue
        wanted = audit_folder(folder) / f"{trial.number:05d}"
        audited.append(AuditedConfiguration(trial, composed, free_folder(wanted, composed.tree)))
    if not audited:
        raise StudyError(
            f"no configuration of {record.name!r} can be read, so {notes[0]}",
            expected="the folders of its trials, with the config.yaml of each",
            remedy="Restore them, or compare the epochs of the trials themselves: "
            f"tunewright audit {shlex.quote(str(folder.path))} --curves.",
        )
    values = _level_values(view, recipe, audited[0])
    if not values:
        raise _no_fidelity(recipe, folder, audited[0].composed.config.training.epochs)
    done = [one for one in audited if read_run(one.trial.number, one.folders, record.goal)]
    left = [one for one in audited if one not in done]
    return (
        AuditPlan(
            study=record.name,
            values=values,
            trials=[one.trial.number for one in audited],
            done=[one.trial.number for one in done],
            epochs=audited[0].composed.config.training.epochs,
            seconds=_expected_seconds(left),
            notes=notes,
        ),
        audited,
    )


def describe_plan(plan: AuditPlan) -> str:
    """Return a plan in words."""
    values = ", ".join(f"{path}={value}" for path, value in plan.values.items())
    done = f", {len(plan.done)} of them done" if plan.done else ""
    time = ""
    if plan.seconds is not None:
        time = f"; about {duration(plan.seconds)} of training left, by the epochs of the search"
    return (
        f"audit: {len(plan.trials)} configurations (trial {', '.join(map(str, plan.trials))}"
        f"{done}) with {values}{time}"
    )


def require_folder(view: StudyView) -> StudyFolder:
    """Return the folder of a study; raise StudyError for one that was read from a database."""
    if view.folder is None:
        raise StudyError(
            f"the study {view.record.name!r} was read from a database without its folder",
            expected="its folder, which holds the rest of the configuration",
            remedy="Name the folder, or compare the epochs of its trials: --curves.",
        )
    return view.folder


def _no_fidelity(recipe: Recipe, folder: StudyFolder, epochs: int) -> ConfigError:
    more = f"training.epochs={4 * epochs}"
    call = f"tunewright audit {shlex.quote(str(folder.path))} {more}"
    if recipe.name == "function":
        call = f"tunewright.audit({str(folder.path)!r}, {more!r}, function=FUNCTION)"
    return ConfigError(
        f"the trials in {folder.path} were trained in full already (training.epochs = {epochs})",
        expected="a full fidelity that takes more epochs or more data than the search",
        remedy=f"Name one: {call}. Or compare the epochs of the trials themselves: --curves.",
    )


def _keep_nothing(recipe: Recipe, composed: Composition) -> Composition:
    """Return the configuration without what would be kept; the study's own seeds do not count."""
    values: dict[str, Any] = dict(LEAVES_NOTHING)
    if "seeds" not in composed.typed:
        values["seeds"] = []
    tree, config = with_values(composed.tree, values, recipe.config)
    return replace(composed, tree=tree, config=config)


def _level_values(view: StudyView, recipe: Recipe, audited: AuditedConfiguration) -> dict[str, Any]:
    """Return what the audit's fidelity sets otherwise than the trial did."""
    trial, folder = audited.trial, require_folder(view)
    if trial.imported_from or not folder.trial(trial.number).config.exists():
        assert view.configuration is not None
        stored = view.configuration["stages"]
        ran, _ = with_values(view.configuration, flatten(stored["explore"]), recipe.config)
    else:
        ran = folder.trial(trial.number).read_config()
    searched = {recipe.path(name) for name in trial.parameters}
    changed = differences(ran, audited.composed.tree, (*NOT_COMPARED, "goal", "trackers"))
    return {
        path: now
        for path, (_, now) in changed.items()
        if path not in searched and not (path == "seeds" and not now)
    }


def _expected_seconds(left: Sequence[AuditedConfiguration]) -> float | None:
    """Return the time of the runs left, if their epochs took as long as those of the search."""
    known = [
        one.trial.seconds / max(one.trial.curve) * one.composed.config.training.epochs
        * len(one.folders)
        for one in left
        if one.trial.seconds and max(one.trial.curve, default=0)
    ]  # fmt: skip
    return sum(known) / len(known) * len(left) if known else None
