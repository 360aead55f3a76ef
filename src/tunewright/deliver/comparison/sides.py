"""Reads a study or a run as one side of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewright.config.tree import flatten
from tunewright.errors import DataError, TunewrightError, did_you_mean
from tunewright.recipes.direction import direction_of
from tunewright.recipes.registry import find_recipe
from tunewright.runs.atomic import read_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import Direction, Goal, Outcome, StudyRecord
from tunewright.search.read_study import is_study, read_study
from tunewright.search.reporting.run_report import run_to_report
from tunewright.search.storage.journal import journal_file


@dataclass(frozen=True)
class Side:
    """A study or a run.

    name: as it was typed. goals: of a run the goal of its configuration alone. configuration: flat,
    empty where it is not known. record, space, fingerprints: of a study; the space as text by
    parameter, the fingerprints of its data by set. outcomes: of the run, or of the study's final
    model, by seed; by 0 where it has no seeds of its own. model, evaluations: what was evaluated,
    and what `evaluation.json` and `evaluation-NAME.json` hold of it. curve: the goal by epoch of
    the run or final model. place: its folder, if it has one.
    """

    name: str
    recipe: str
    goals: tuple[Goal, ...]
    configuration: Mapping[str, Any]
    record: StudyRecord | None = None
    space: Mapping[str, str] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[int, Outcome] = field(default_factory=dict)
    model: str = ""
    evaluations: Sequence[Mapping[str, Any]] = ()
    curve: Sequence[tuple[int, float]] = ()
    place: Path | None = None

    @property
    def kind(self) -> str:
        """A word for messages."""
        return "run" if self.record is None else "study"


def read_side(word: str | Path, runs: Path) -> Side:
    """Return what a word names: a study or a run by folder or name, or a database of Optuna.

    `DATABASE#NAME` is one study of several in it. Raises DataError for what is neither,
    StudyError for a study that cannot be read.
    """
    text = str(word)
    run = run_to_report(text, runs)
    if run is not None:
        return _of_run(text, run)
    if is_study(text, runs) or _is_database(text):
        return _of_study(text, text, None, runs)
    place, sign, name = text.rpartition("#")
    if sign and _is_database(place):
        return _of_study(text, place, name, runs)
    files = [*runs.glob("*/study.yaml"), *runs.glob("*/config.yaml")]
    known = sorted({file.parent.name for file in files})
    raise DataError(
        f"no study or run {text!r} in {runs}",
        expected=f"one of {', '.join(known[:20])}" if known else "the folder of a study or a run",
        remedy=did_you_mean(text, known),
    )


def _is_database(text: str) -> bool:
    if "#" not in text and ("://" in text or journal_file(text) is not None):
        return True
    return Path(text).expanduser().is_file()


def _of_study(word: str, place: str, name: str | None, runs: Path) -> Side:
    view = read_study(place, name=name, runs=runs)
    record, folder = view.record, view.folder
    outcomes: Mapping[int, Outcome] = {}
    evaluations: Sequence[Mapping[str, Any]] = ()
    model = ""
    if folder is not None:
        outcomes = _outcomes(folder.final)
        places = [("final model", run) for run in folder.final.with_seeds()]
        if record.best is not None and not record.best.imported_from:
            places.append((f"trial {record.best.number}", folder.trial(record.best.number)))
        model, evaluations = next(
            ((of, found) for of, run in places if (found := _evaluations(run))), ("", ())
        )
    return Side(
        word,
        record.recipe,
        record.goals,
        flatten(view.configuration or {}),
        record,
        {parameter.path: str(parameter.domain) for parameter in view.parameters},
        view.fingerprints,
        outcomes,
        model,
        evaluations,
        () if folder is None else _curve(folder.final, record.goal),
        None if folder is None else folder.path,
    )


def _of_run(word: str, run: RunFolder) -> Side:
    tree = run.read_config()
    recipe = str(tree.get("recipe", ""))
    goal = _goal(tree, recipe)
    return Side(
        word,
        recipe,
        (goal,),
        flatten(tree),
        outcomes=_outcomes(run),
        model="this run",
        evaluations=next((found for one in run.with_seeds() if (found := _evaluations(one))), ()),
        curve=_curve(run, goal.metric),
        place=run.path,
    )


def _goal(tree: Mapping[str, Any], recipe: str) -> Goal:
    """Return the first goal of a run; by its name where its recipe is not installed here."""
    written = tree.get("goal", "")
    first = str(written if isinstance(written, str) else next(iter(written), ""))
    try:
        return find_recipe(recipe).goal(first)
    except TunewrightError:
        metric, _, direction = first.partition(":")
        declared: Direction = "max" if direction == "max" else "min"
        return Goal(metric, declared if direction else direction_of(metric))


def _outcomes(run: RunFolder) -> dict[int, Outcome]:
    """Return the outcomes of a run that ended well, by seed."""
    found: dict[int, Outcome] = {}
    for one in run.with_seeds():
        outcome = one.read_outcome()
        if outcome is not None and outcome.state == "done":
            seed = one.path.name.removeprefix("seed-") if one.path != run.path else "0"
            found[int(seed) if seed.isdigit() else 0] = outcome
    return found


def _curve(run: RunFolder, metric: str) -> list[tuple[int, float]]:
    """Return a metric by epoch, of the first seed where there are several."""
    for one in run.with_seeds():
        if history := read_progress(one.progress):
            return [(p.step, p.metrics[metric]) for p in history if metric in p.metrics]
    return []


def _evaluations(run: RunFolder) -> list[Mapping[str, Any]]:
    """Return the stored evaluations of a run, that of its test split first."""
    files = [run.path / "evaluation.json", *sorted(run.path.glob("evaluation-*.json"))]
    found = [read_json(file) for file in files]
    return [one for one in found if one and isinstance(one.get("metrics"), Mapping)]
