"""Two studies or two runs side by side, as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.analysis.score_differences import ScoreDifference
from tunewright.result import Result
from tunewright.runs.record import Direction

Points = Sequence[tuple[float, float]]
"""Pairs of a place (a trial, hours, an epoch) and a score."""


@dataclass(frozen=True)
class Comparison(Result):
    """Two studies or runs side by side; differences are the second's score less the first's.

    names: as they were typed. scores: of the searches, the trainings and the evaluations. rows: by
    class or label, whose pictures are not paired. configuration, space: what differs, as rows of
    name, first, second; None where a side lacks it. by_trial, by_hours: the best score so far of
    each study. curves: the goal by epoch of each run, or final model. notes: what the figures must
    be read with, and what could not be compared. file: the page that was written.
    """

    names: tuple[str, str]
    kind: str
    recipe: str
    goal: str
    direction: Direction
    scores: tuple[ScoreDifference, ...] = ()
    rows: tuple[ScoreDifference, ...] = ()
    configuration: tuple[tuple[str, Any, Any], ...] = ()
    space: tuple[tuple[str, str | None, str | None], ...] = ()
    by_trial: tuple[Points, ...] = ()
    by_hours: tuple[Points, ...] = ()
    curves: tuple[Points, ...] = ()
    notes: tuple[str, ...] = ()
    file: Path | None = None
