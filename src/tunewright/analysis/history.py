"""How a search went: the best score so far, what it gained, and who worked when."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tunewright.analysis.score_differences import interval_of_difference
from tunewright.runs.record import StudyRecord, Trial, is_same


def best_so_far(record: StudyRecord) -> list[tuple[int, float]]:
    """Return the trials that finished with a new best score, and the scores, by number."""
    sign, best, found = record.goals[0].sign, -math.inf, list[tuple[int, float]]()
    for trial in record.of_state("done"):
        if trial.score is not None and sign * trial.score > best:
            best = sign * trial.score
            found.append((trial.number, trial.score))
    return found


def best_by_hours(record: StudyRecord) -> list[tuple[float, float]]:
    """Return the new best scores by the hours since the first trial began.

    The study's own trials alone; empty where their times are not stored.
    """
    known = [t for t in record.own if t.started is not None and t.seconds is not None]
    if not known:
        return []
    began = min(map(_start, known))
    sign, best, found = record.goals[0].sign, -math.inf, list[tuple[float, float]]()
    for trial in sorted(known, key=_end):
        if trial.state == "done" and trial.score is not None and sign * trial.score > best:
            best = sign * trial.score
            found.append(((_end(trial) - began) / 3600.0, trial.score))
    return found


@dataclass(frozen=True)
class Gain:
    """What the best trial gained over the defaults; above 0 is better, whatever the direction.

    low, high: its 95 % interval, None where a score has none. It is that of two measurements which
    do not share their rows, and is wider than that of a comparison row by row.
    """

    defaults: Trial
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def is_tie(self) -> bool:
        """Return whether the interval holds 0."""
        return self.low is not None and self.high is not None and self.low <= 0.0 <= self.high


def gain_over(defaults: Trial | None, record: StudyRecord) -> Gain | None:
    """Return the gain of the best trial over the defaults; None where either has no score."""
    best = record.best
    if best is None or best.score is None or defaults is None or defaults.score is None:
        return None
    if is_same(best.score, defaults.score):
        return Gain(defaults, 0.0)
    sign = record.goals[0].sign
    value = abs(best.score - defaults.score)
    if best.interval is None or defaults.interval is None:
        return Gain(defaults, value)
    ends = interval_of_difference(defaults.score, defaults.interval, best.score, best.interval)
    low, high = sorted(sign * end for end in ends)
    return Gain(defaults, value, low, high)


def default_trial(record: StudyRecord, defaults: dict[str, object]) -> Trial | None:
    """Return the first trial where it tried the defaults; None where it did not.

    defaults: by parameter, where the space names one; a search begins with them.
    """
    first = next(iter(record.own), None)
    if first is None or first.good:
        return None
    known = {path: value for path, value in defaults.items() if path in first.parameters}
    same = all(first.parameters[path] == value for path, value in known.items())
    return first if same else None


@dataclass(frozen=True)
class Lane:
    """The trials that one worker ran, one after another."""

    trials: Sequence[Trial]


@dataclass(frozen=True)
class Timeline:
    """Which trials ran beside which. idle: the share of the lanes' time without a trial."""

    began: float
    ended: float
    lanes: Sequence[Lane]
    idle: float


def timeline(record: StudyRecord) -> Timeline | None:
    """Lay trials that overlapped in time on different lanes, as few as there can be.

    None where no trial has both a start and a duration. Studies store no worker; the fewest lanes
    that hold all trials are the workers that were busy at once. Trials of other studies are left
    out. Time in which a study was not running counts as idle for no lane: gaps that all lanes share
    are left out.
    """
    known = [t for t in record.own if t.started is not None and t.seconds is not None]
    if not known:
        return None
    ordered = sorted((part for trial in known for part in _parts(trial)), key=_start)
    free: list[tuple[float, int]] = []
    lanes: list[list[Trial]] = []
    for trial in ordered:
        if free and free[0][0] <= _start(trial):
            _, lane = heapq.heappop(free)
        else:
            lane = len(lanes)
            lanes.append([])
        lanes[lane].append(trial)
        heapq.heappush(free, (_end(trial), lane))
    busy = sum(_end(trial) - _start(trial) for trial in ordered)
    some = _measure_cover([(_start(trial), _end(trial)) for trial in ordered])
    return Timeline(
        _start(ordered[0]),
        max(map(_end, ordered)),
        tuple(Lane(tuple(lane)) for lane in lanes),
        max(0.0, 1.0 - busy / (some * len(lanes))) if some else 0.0,
    )


def _start(trial: Trial) -> float:
    assert trial.started is not None
    return trial.started


def _end(trial: Trial) -> float:
    ended = trial.ended_at
    assert ended is not None
    return ended


def _parts(trial: Trial) -> list[Trial]:
    """Return a trial once for each time that it had a worker; other trials ran meanwhile."""
    if not trial.spans:
        return [trial]
    return [replace(trial, started=at, seconds=took, spans=()) for at, took in trial.spans]


def _measure_cover(spans: Sequence[tuple[float, float]]) -> float:
    """Return how long at least one of the spans, in order of their starts, lasted."""
    total, reached = 0.0, -math.inf
    for start, end in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
