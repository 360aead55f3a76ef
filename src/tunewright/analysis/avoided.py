"""Compare trials that match a space's `avoid` rules with the others, rule by rule."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from tunewright.runs.record import StudyRecord, Trial

ENOUGH = 3
"""Finished trials needed on either side for the two medians to mean something."""


def summarise_avoid_rules(record: StudyRecord) -> list[dict[str, Any]]:
    """Return, for each rule that trials are tagged with, counts and scores of both groups.

    Scores are of trials that ran to their end; pruning leaves the better ones.
    """
    names = dict.fromkeys(name for trial in record.trials for name in trial.avoided)
    rows = []
    for name in names:
        cases = [trial for trial in record.trials if name in trial.avoided]
        others = [trial for trial in record.trials if name not in trial.avoided]
        row = {"name": name, "cases": _figures(cases, record), "others": _figures(others, record)}
        rows.append(row)
    return rows


def comparison_line(row: Mapping[str, Any], goal: str) -> str:
    """Return a row in words; empty where too few trials have ended to compare them."""
    cases, others = row["cases"], row["others"]
    if min(cases["finished"], others["finished"]) < ENOUGH:
        return ""
    return (
        f"{row['name']}, advised against: {_format_counts(cases)}, with {goal} {_scores(cases)}; "
        f"of the others {_format_counts(others)}, with {_scores(others)}"
    )


def count_line(row: Mapping[str, Any]) -> str:
    """Return a row in words where it cannot be compared."""
    return f"{row['name']}, advised against: {_format_counts(row['cases'])}"


def _figures(trials: list[Trial], record: StudyRecord) -> dict[str, Any]:
    scores = [t.score for t in trials if t.state == "done" and t.score is not None]
    best = max if record.direction == "max" else min
    return {
        "trials": len(trials),
        "finished": len(scores),
        "median": median(scores) if scores else None,
        "best": best(scores) if scores else None,
    }


def _format_counts(figures: Mapping[str, Any]) -> str:
    return f"{figures['finished']} of {figures['trials']} ran to their end"


def _scores(figures: Mapping[str, Any]) -> str:
    return f"{figures['median']:.4g} in the median and {figures['best']:.4g} at best"
