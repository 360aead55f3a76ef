"""Findings on time: trials that are slow because of a parameter, and workers that wait."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from tunewright.analysis.findings.changes import change_space, continue_study, new_study
from tunewright.analysis.findings.effects import Effects
from tunewright.analysis.findings.evidence import Evidence
from tunewright.analysis.findings.finding import Finding
from tunewright.analysis.findings.significance import ALPHA, Floats, holm, p_text, student_quantile
from tunewright.analysis.findings.trial_table import ParameterColumn
from tunewright.analysis.findings.wording import figure, percent, trials
from tunewright.runs.quantities import duration
from tunewright.runs.record import Trial
from tunewright.spaces.domain import Categorical

SLOWER = 1.5
"""Ratio of the times per epoch from which a parameter makes trials slow."""
IDLE = 0.25
"""Share of the workers' time without a trial from which they are idle."""
WORTH = 60.0
"""Seconds of idle workers that are worth a word."""
PAUSE = 10.0
"""Multiple of a trial's length from which a time without any trial is a pause of the study."""


def find_slow(found: Evidence) -> list[Finding]:
    """Return the parameter that makes trials slow, and whether the slow ones are better."""
    table = found.table
    rows = [
        i
        for i, t in enumerate(table.trials)
        if t.seconds and t.state in ("done", "pruned", "paused")
    ]
    if len(rows) < 10:
        return []
    times = np.log([_seconds_per_epoch(table.trials[i]) for i in rows])
    columns = {
        path: taken
        for path, column in table.columns.items()
        if len(np.unique((taken := column.take(rows)).codes)) > 1 or not column.is_choice
    }
    effects = Effects(columns, times)
    tests = {path: test for path in columns if (test := effects.test(path)) is not None}
    chances = holm([test.chance for test in tests.values()])
    slow = []
    for (path, _), chance in zip(tests.items(), chances, strict=True):
        if chance <= ALPHA:
            ratio, low, text, level = _contrast(effects.columns[path], effects.residuals(path))
            if ratio >= SLOWER and low > 1.0:
                slow.append((ratio, low, path, text, level, chance))
    if not slow:
        return []
    ratio, low, path, text, level, chance = max(slow)
    all_seconds = [t.seconds or 0.0 for t in table.trials]
    return [
        Finding(
            "slow",
            f"trials with {text} take {ratio:.2g} times as long",
            f"per epoch, the other parameters held constant, over {trials(len(rows))}; a trial "
            f"takes {duration(median(all_seconds[i] for i in rows))} in the median, all together "
            f"{duration(sum(all_seconds))}. {_worth(found, path, level)}",
            f"{ratio:.2g} times, at least {low:.2g} (95 %)",
            f"{p_text(chance)}, F test, for all parameters together",
            _faster(found, path, level),
            0.45,
            (path,),
        )
    ]


def _seconds_per_epoch(trial: Trial) -> float:
    return (trial.seconds or 0.0) / max(1, max(trial.curve, default=1))


def _contrast(column: ParameterColumn, times: Floats) -> tuple[float, float, str, int]:
    """Return how many times as long the slowest take as the fastest, and the lower bound.

    Also what they are called, and the place of the slowest choice; -1 of a number.
    """
    groups: list[tuple[str, int, Floats]] = []
    if column.is_choice:
        for code in np.unique(column.codes[column.present]):
            own = times[column.codes == code]
            if len(own) >= 3:
                groups.append((f"{column.path} = {figure(column.levels[code])}", int(code), own))
    else:
        units = column.units
        low, high = np.nanquantile(units, [1 / 3, 2 / 3])
        ends = (column.value(float(low)), column.value(float(high)))
        groups = [
            (f"{column.path} below {figure(ends[0])}", -1, times[units <= low]),
            (f"{column.path} above {figure(ends[1])}", -1, times[units >= high]),
        ]
    groups = [g for g in groups if len(g[2]) >= 3]
    if len(groups) < 2:
        return 1.0, 1.0, "", -1
    means = [float(own.mean()) for *_, own in groups]
    slow, fast = int(np.argmax(means)), int(np.argmin(means))
    one, other = groups[slow][2], groups[fast][2]
    error = math.sqrt(float(one.var(ddof=1)) / len(one) + float(other.var(ddof=1)) / len(other))
    gap = means[slow] - means[fast]
    bound = gap - student_quantile(0.95, min(len(one), len(other)) - 1) * error
    return math.exp(gap), math.exp(bound), groups[slow][0], groups[slow][1]


def _worth(found: Evidence, path: str, level: int) -> str:
    """Return whether the best trial is one of the slow ones."""
    best = found.table.best()
    if best is None or level < 0:
        return ""
    value = found.table.columns[path].levels[level]
    if best.parameters.get(path) == value:
        return "The best trial is one of them."
    return "The best trial is none of them."


def _faster(found: Evidence, path: str, level: int) -> str:
    context, best, column = found.context, found.table.best(), found.table.columns[path]
    domain = column.domain
    if (
        level >= 0
        and isinstance(domain, Categorical)
        and best is not None
        and (best.parameters.get(path) != column.levels[level] and len(column.levels) > 1)
    ):
        kept = tuple(v for c, v in enumerate(column.levels) if c != level)
        return change_space(context, {path: replace(domain, choices=kept)}, name="faster")
    if context.needs_python:
        return 'directions = [..., "minimize"]  # the seconds of a trial as a second goal'
    goal = shlex.quote(f"goal=[{found.record.goal},seconds]")
    return new_study(context, found.record.name, "faster", goal)


def find_idle(found: Evidence) -> list[Finding]:
    """Return whether workers wait for long while others train."""
    spans = sorted(
        (start, start + seconds) for t in found.record.own for start, seconds in t.worked
    )
    if len(spans) < 6:
        return []
    workers, busy, active = _occupancy(spans)
    if workers < 2 or workers * 3 > len(spans) or active <= 0:
        return []
    idle = 1.0 - busy / (workers * active)
    if idle < IDLE or idle * workers * active < WORTH:
        return []
    used = max(1, round(busy / active))
    change = f"study.optimize(objective, n_trials=..., n_jobs={used})"
    if not found.context.needs_python:
        change = continue_study(found.context, f"--jobs {used}")
    return [
        Finding(
            "idle",
            f"the {workers} workers were idle {percent(idle)} of the time",
            f"{trials(len(spans))} kept {workers * (1 - idle):.2g} of {workers} busy over "
            f"{duration(active)}; pauses of the study and the last trials do not count. Trials "
            "that start only when the slowest of a batch has ended, memory for fewer than all, or "
            "time between trials cause this; fewer workers with more threads each waste less.",
            f"{duration(idle * workers * active)} of worker time",
            "counted",
            change,
            0.4,
        )
    ]


def _occupancy(spans: Sequence[tuple[float, float]]) -> tuple[int, float, float]:
    """Return the workers, the time that they trained, and the time that the study ran.

    From when all of them had a trial, since they start up before, until the last trial began:
    afterwards there is nothing to start. workers: the most trials at once for at least a twentieth
    of the time.
    """
    last = spans[-1][0]
    events = sorted([(a, 1) for a, _ in spans] + [(min(b, last), -1) for _, b in spans])
    usual = median(end - begin for begin, end in spans)
    parts: list[tuple[int, float]] = []  # trials at once, and for how long
    level, before = 0, events[0][0]
    for at, change in events:
        if level > 0 or at - before < PAUSE * usual:
            parts.append((level, at - before))
        level, before = level + change, at
    whole = sum(seconds for _, seconds in parts)
    workers, above = 1, 0.0
    for count, seconds in sorted(parts, reverse=True):
        above += seconds
        if above >= 0.05 * whole:
            workers = max(1, count)
            break
    began = next((i for i, (count, _) in enumerate(parts) if count >= workers), 0)
    active = sum(seconds for _, seconds in parts[began:])
    busy = sum(min(count, workers) * seconds for count, seconds in parts[began:])
    return workers, busy, active
