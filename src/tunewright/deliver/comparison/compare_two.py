"""`tunewright compare A B`: two studies or two runs, with the differences of their scores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunewright.analysis.comparison import Comparison
from tunewright.analysis.history import best_by_hours, best_so_far
from tunewright.analysis.score_differences import (
    ScoreDifference,
    grouped_difference,
    paired_difference,
    separate_difference,
)
from tunewright.deliver.comparison.comparability import (
    different_evaluation,
    different_validation,
    no_shared_evaluation,
    on_same_data,
    refuse_unlike,
)
from tunewright.deliver.comparison.sides import Side, read_side
from tunewright.errors import UsageError
from tunewright.recipes.direction import direction_of
from tunewright.reports.pages.comparison_page import write_comparison_page
from tunewright.reports.picture_files import PAGE
from tunewright.runs.record import Direction, Goal, StudyRecord, Trial

UNITS: Mapping[str, tuple[str, Sequence[str]]] = {
    "per_image": ("picture", ("psnr", "ms_ssim", "bpp")),
    "per_class": ("class", ("recall", "auroc")),
    "per_label": ("label", ("auroc", "recall")),
}
"""Tables of an evaluation: what a row is, and the scores of a row that are compared."""
LESS = ("bpp",)
"""Scores of rows of which less is better."""
NOT_SETTINGS = ("executor", "trackers", "study.report")
"""Configuration that changes no score, and is not listed among the differences."""


def compare_two(
    first: str | Path,
    second: str | Path,
    *,
    runs: Path = Path("runs"),
    page: Path | None = None,
) -> Comparison:
    """Compare two studies or two runs, each by folder or name; a study also by its database.

    Scores on the same seeds, pictures or classes are paired. page: a file to write, ending in
    .html. Raises UsageError for two of different kinds, recipes or goals and for another suffix,
    DataError for what is neither a study nor a run, NotWritten where the disk refuses the page.
    """
    if page is not None and page.suffix.lower() != PAGE:
        raise UsageError(f"--output {page}", expected=f"a file that ends in {PAGE}")
    found = _compare(read_side(first, runs), read_side(second, runs))
    if page is None:
        return found
    write_comparison_page(found, page)
    return replace(found, file=page)


def _compare(one: Side, other: Side) -> Comparison:
    """Compare two sides; raise UsageError where they do not compare."""
    refuse_unlike(one, other)
    goal = one.goals[0]
    notes: list[str] = []
    scores: list[ScoreDifference] = []
    unlike = different_validation(one, other)
    if one.record is not None and other.record is not None:
        scores += _compare_searches(one.record, other.record)
        notes += _search_notes(one, other)
    scores += _compare_trainings(one, other)
    if unlike:
        notes.append(unlike)
        scores = [_not_compared(row) for row in scores]
    evaluated, rows, said = _compare_evaluations(one, other)
    scores += evaluated
    notes += said
    if not scores:
        notes.append("neither has a score yet, or only one of them has")
    records = [side.record for side in (one, other) if side.record is not None]
    return Comparison(
        (one.name, other.name),
        one.kind,
        one.recipe,
        goal.metric,
        goal.direction,
        tuple(scores),
        tuple(rows),
        tuple(_differing(one.configuration, other.configuration)),
        tuple(_differing(one.space, other.space)),
        tuple(map(best_so_far, records)),
        tuple(map(best_by_hours, records)),
        (one.curve, other.curve),
        tuple(dict.fromkeys(notes)),
    )


def _compare_searches(one: StudyRecord, other: StudyRecord) -> list[ScoreDifference]:
    """Compare the best trials, and trials of equal parameters."""
    goal, found = one.goals[0], list[ScoreDifference]()
    if one.best is not None and other.best is not None:
        found.append(_compare_trials("best trial", one.best, other.best, goal))
        count = min(len(one.trials), len(other.trials))
        first, second = (_best_within(record, count) for record in (one, other))
        if len(one.trials) != len(other.trials) and first is not None and second is not None:
            found.append(_compare_trials(f"best of the first {count} trials", first, second, goal))
    points = _by_point(one.of_state("done")), _by_point(other.of_state("done"))
    paired = paired_difference("trials of equal parameters", *goal, *points, "configuration")
    return [*found, *([paired] if paired is not None else [])]


def _compare_trials(of: str, one: Trial, other: Trial, goal: Goal) -> ScoreDifference:
    if paired := paired_difference(of, *goal, one.seeds, other.seeds, "seed"):
        return paired
    assert one.score is not None
    assert other.score is not None
    scores = one.score, other.score
    return separate_difference(of, *goal, scores, (one.interval, other.interval))


def _best_within(record: StudyRecord, count: int) -> Trial | None:
    """Return the best finished trial among the first `count`, by number."""
    known = sorted(record.trials, key=lambda trial: trial.number)[:count]
    return replace(record, trials=tuple(known)).best


def _by_point(trials: Sequence[Trial]) -> dict[Any, float]:
    """Return the score by parameters, of the first trial with them."""
    found: dict[Any, float] = {}
    for trial in trials:
        if trial.score is not None and trial.parameters:
            point = tuple(sorted((path, repr(value)) for path, value in trial.parameters.items()))
            found.setdefault(point, trial.score)
    return found


def _search_notes(one: Side, other: Side) -> list[str]:
    notes = [
        "each search ran once: how far the best of another search would lie from its best is not "
        "in the interval"
    ]
    epochs = [side.configuration.get("stages.explore.training.epochs") for side in (one, other)]
    if None not in epochs and epochs[0] != epochs[1]:
        notes.append(f"trials trained for {epochs[0]} and {epochs[1]} epochs")
    return notes


def _compare_trainings(one: Side, other: Side) -> list[ScoreDifference]:
    """Compare the goal of two runs, or of two final models: by seed where they share seeds."""
    goal = one.goals[0]
    of = "final model" if one.record is not None else "training"
    first, second = (
        {
            seed: outcome.all_metrics[goal.metric]
            for seed, outcome in side.outcomes.items()
            if goal.metric in outcome.all_metrics
        }
        for side in (one, other)
    )
    if not first or not second:
        return []
    paired = paired_difference(of, *goal, first, second, "seed")
    if paired is not None:
        return [paired]
    if min(len(first), len(second)) > 1:
        values = list(first.values()), list(second.values())
        return [grouped_difference(of, *goal, *values)]
    seeds = next(iter(first)), next(iter(second))
    scores = first[seeds[0]], second[seeds[1]]
    intervals = one.outcomes[seeds[0]].interval, other.outcomes[seeds[1]].interval
    return [separate_difference(of, *goal, scores, intervals)]


def _compare_evaluations(
    one: Side, other: Side
) -> tuple[list[ScoreDifference], list[ScoreDifference], list[str]]:
    """Return the differences of the metrics, of rows by class, and notes."""
    missing = [side.name for side in (one, other) if not side.evaluations]
    if missing:
        said = f"{missing[0]} was not evaluated, so that no metrics are compared"
        return [], [], [said] if len(missing) == 1 else []
    found: list[ScoreDifference] = []
    rows: list[ScoreDifference] = []
    notes: list[str] = []
    for first in one.evaluations:
        second = next((e for e in other.evaluations if on_same_data(first, e)), None)
        if second is not None:
            scores, of_rows, why = _compare_metrics(one, other, first, second)
            found += scores
            rows += of_rows if not rows else []
            notes += [why] if why else []
    if not found:
        notes.append(no_shared_evaluation(one, other))
    if any(row.method.startswith("unpaired") for row in found):
        notes.append(
            "unpaired: the predictions of single rows are not stored, so the interval is that of "
            "two measurements, wider than a comparison row by row would give"
        )
    return found, rows, notes


def _compare_metrics(
    one: Side, other: Side, first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[list[ScoreDifference], list[ScoreDifference], str]:
    """Compare two evaluations on one split; return differences, rows, and why not, if so."""
    split = str(first.get("split", "evaluation"))
    of = split if one.model == other.model else f"{split}, {one.model} and {other.model}"
    unlike = different_evaluation(one, other, first, second)
    paired, rows = ([], []) if unlike else _compare_rows(of, first, second)
    known = {row.metric for row in paired}
    found = list(paired)
    for metric, value in first["metrics"].items():
        beside = second["metrics"].get(metric)
        if metric in known or not _is_number(value) or not _is_number(beside):
            continue
        ends = [_interval(figures.get(f"{metric}_interval")) for figures in (first, second)]
        scores = float(value), float(beside)
        row = separate_difference(of, metric, _direction(one, metric), scores, (ends[0], ends[1]))
        found.append(_not_compared(row) if unlike else row)
    return found, rows, unlike


def _compare_rows(
    of: str, first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[list[ScoreDifference], list[ScoreDifference]]:
    """Compare tables by picture, class or label: means paired by row, and each class alone."""
    paired: list[ScoreDifference] = []
    rows: list[ScoreDifference] = []
    for key, (unit, metrics) in UNITS.items():
        tables = [_by_name(figures.get(key)) for figures in (first, second)]
        for metric in metrics:
            scores = [
                {n: float(row[metric]) for n, row in table.items() if _is_number(row.get(metric))}
                for table in tables
            ]
            direction: Direction = "min" if metric in LESS else "max"
            name = metric if unit == "picture" else f"mean {metric}"
            found = paired_difference(of, name, direction, scores[0], scores[1], unit)
            if found is not None and unit != "picture":
                found = replace(found, method=f"{found.method}: what others of them would give")
            paired += [found] if found is not None else []
            if unit == "picture":
                continue
            for label in [label for label in scores[0] if label in scores[1]]:
                ends = [_interval(table[label].get(f"{metric}_interval")) for table in tables]
                both = scores[0][label], scores[1][label]
                rows.append(separate_difference(label, metric, direction, both, (ends[0], ends[1])))
    return paired, rows


def _by_name(table: Any) -> dict[str, Mapping[str, Any]]:
    rows = [row for row in table or () if isinstance(row, Mapping)]
    return {str(row.get("name", row.get("class", row.get("label")))): row for row in rows}


def _interval(stored: Any) -> tuple[float, float] | None:
    if isinstance(stored, Sequence) and len(stored) == 2 and all(map(_is_number, stored)):
        return float(stored[0]), float(stored[1])
    return None


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _direction(side: Side, metric: str) -> Direction:
    known = {goal.metric: goal.direction for goal in side.goals}
    named = known.get(metric) or known.get(f"val_{metric}")
    return "min" if metric in LESS else named or direction_of(metric)


def _not_compared(row: ScoreDifference) -> ScoreDifference:
    return replace(row, value=None, low=None, high=None, method="", why="not compared: other data")


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return the names whose values differ, as rows of name, first, second."""
    names = [*first, *(name for name in second if name not in first)]
    return [
        (name, first.get(name), second.get(name))
        for name in names
        if first.get(name) != second.get(name) and not name.startswith(NOT_SETTINGS)
    ]
