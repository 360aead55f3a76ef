"""Findings on single parameters: without effect, best at an edge, decided."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.analysis.findings.changes import change_space, keep_fixed, round_number
from tunewright.analysis.findings.evidence import Evidence
from tunewright.analysis.findings.finding import Finding
from tunewright.analysis.findings.significance import (
    ALPHA,
    Floats,
    holm,
    p_text,
    rank_correlation,
    upper_tail,
)
from tunewright.analysis.findings.trial_table import Codes, ParameterColumn
from tunewright.analysis.findings.wording import figure, join_words, percent, trials
from tunewright.spaces.domain import Categorical, Domain, Float, Int, is_number

NO_EFFECT = 0.05
"""Share of the variance of ranks below which a parameter has no effect worth a trial."""
EDGE = 0.15
"""Part of a range that counts as its edge."""
COMPARED = 3
"""Trials of a choice at least that can be compared with another."""


def find_no_effect(found: Evidence) -> list[Finding]:
    """Return the parameters that surely make no difference, alone or with the strongest others."""
    effects = found.effects
    bounds: dict[str, float] = {}
    for path, column in effects.columns.items():
        test = effects.test(path, with_pairs=True) if _is_covered(column) else None
        if test is not None and test.upper < NO_EFFECT and test.chance > ALPHA:
            bounds[path] = test.upper
    if not bounds:
        return []
    best, paths = found.table.best(), list(bounds)
    most = percent(max(0.01, *bounds.values()))
    values = {p: best.parameters[p] for p in paths if best is not None and p in best.parameters}
    some = len(paths) < len(effects.columns)
    return [
        Finding(
            "no_effect",
            f"{join_words(paths)} {'has' if len(paths) == 1 else 'have'} no effect on "
            f"{found.record.goal}"
            if some
            else "no parameter makes a difference",
            f"over its whole range, with the stronger parameters held constant, "
            f"{'it' if len(paths) == 1 else 'each'} explains at "
            f"most {most} of how {trials(len(effects.rows))} rank, alone "
            "or together with the two strongest others. A study that leaves "
            f"{'it' if len(paths) == 1 else 'them'} fixed finds the same with fewer trials.",
            f"at most {most} of the variance of ranks",
            "upper bounds at 95 %, F test",
            keep_fixed(found.context, values, found.record.name) if values else "",
            0.3 if some else 0.7,
            tuple(paths),
        )
    ]


def _is_covered(column: ParameterColumn) -> bool:
    """Return whether trials are spread widely enough to say something of the whole domain."""
    present = column.present
    if column.is_choice:
        counts = np.bincount(column.codes[present], minlength=len(column.levels))
        return bool(counts.min() >= max(5, 0.1 * present.sum()))
    units = column.units[present]
    ends = ((units < 0.25).mean(), (units > 0.75).mean()) if len(units) else (0.0, 0.0)
    return bool(min(ends) >= 0.1 and present.mean() >= 0.2)


@dataclass(frozen=True)
class RangeEdge:
    """The end of a range at which the best trials lie. high: at its upper end. wider: beyond it."""

    column: ParameterColumn
    high: bool
    chance: float
    share: float
    wider: Domain


def find_edge(found: Evidence) -> list[Finding]:
    """Return the ranges at whose end the best trials lie, so that better ones may lie beyond."""
    edges = edges_of(found)
    return [_edge_finding(found, edges, len(_near_best(found)))] if edges else []


def edges_of(found: Evidence) -> list[RangeEdge]:
    """Return the ends of ranges at which the best trials lie, where the domain can be wider."""
    table = found.table
    if sum(table.done) < 10:
        return []
    top = _near_best(found)
    tests = [
        (column, high, _slope_chance(found, path, high))
        for path, column in table.ended_columns.items()
        if column.is_ordered
        for high in (False, True)
    ]
    chances = holm([chance for *_, chance in tests])
    best = table.best()
    edges = []
    for (column, high, _), chance in zip(tests, chances, strict=True):
        share = _share_at_edge(column, top, high)
        if chance > ALPHA or share < 0.5 or best is None:
            continue
        place = [i for i, index in enumerate(table.ended) if table.trials[index] is best]
        wider = _widen(found, column, high)
        if wider is not None and place and _share_at_edge(column, np.array(place), high) == 1.0:
            edges.append(RangeEdge(column, high, chance, share, wider))
    return edges


def _near_best(found: Evidence) -> Codes:
    return found.table.top(max(5, math.ceil(0.1 * len(found.table.ended))))


def _slope_chance(found: Evidence, path: str, high: bool) -> float:
    """Return the chance that trials get no better towards one end, within the half beside it."""
    effects = found.effects
    if path not in effects.columns:
        return 1.0
    units = effects.columns[path].units
    distance = 1.0 - units if high else units
    near = np.isfinite(distance) & (distance <= 0.5)
    count = int(near.sum())
    if count < 8 or len(np.unique(distance[near])) < 2:
        return 1.0
    correlation = -rank_correlation(distance[near], effects.residuals(path)[near])
    if abs(correlation) > 1.0 - 1e-12:
        return 0.0 if correlation > 0 else 1.0
    statistic = correlation * math.sqrt((count - 2) / (1.0 - correlation**2))
    return upper_tail(statistic, count - 2)


def _share_at_edge(column: ParameterColumn, rows: Codes, high: bool) -> float:
    units = column.units[rows]
    units = units[np.isfinite(units)]
    if not len(units):
        return 0.0
    distance = 1.0 - units if high else units
    return float((distance <= EDGE).mean())


def _widen(found: Evidence, column: ParameterColumn, high: bool) -> Domain | None:
    """Return the domain with one end moved out by half of its width; None where it cannot be."""
    domain, accepts = column.domain, found.context.accepts
    if isinstance(domain, Categorical):
        return _longer(found, column, domain, high)
    if _is_natural(domain, high):
        return None
    end = round_number(column.value(1.5 if high else -0.5))
    if isinstance(domain, Int):
        end = math.ceil(end) if high else max(1 if domain.low > 0 else 0, math.floor(end))
    elif not high and not domain.log and domain.low >= 0:
        end = max(0.0, end)
    elif high and domain.low >= 0 and domain.high < 1 and not domain.log:
        end = min(1.0, end)  # a share
    if not accepts(column.path, end) or end == (domain.high if high else domain.low):
        return None
    low, top = (domain.low, end) if high else (end, domain.high)
    if isinstance(domain, Int):
        return Int(int(low), int(top), domain.log, domain.step)
    return Float(float(low), float(top), domain.log, domain.step)


def _is_natural(domain: Float | Int, high: bool) -> bool:
    """Return whether nothing lies beyond an end: 0 and 1 of a share, 0 and 1 of a count."""
    if isinstance(domain, Int):
        return not high and domain.low in (0, 1)
    if domain.log:
        return False
    return domain.low == 0 if not high else domain.low >= 0 and domain.high == 1


def _longer(
    found: Evidence, column: ParameterColumn, domain: Categorical, high: bool
) -> Domain | None:
    """Return choices that are numbers with one more at an end, in the ratio or step of the last."""
    numbers = sorted(choice for choice in domain.choices if is_number(choice))
    last, before = (numbers[-1], numbers[-2]) if high else (numbers[0], numbers[1])
    more: Any = last * last / before if min(last, before) > 0 else last + (last - before)
    whole = all(isinstance(number, int) for number in numbers)
    more = round(more) if whole else round_number(more)
    if more in numbers or (min(numbers) >= 0 and more <= 0):
        return None
    if not found.context.accepts(column.path, more):
        return None
    return Categorical((*domain.choices, more) if high else (more, *domain.choices))


def _edge_finding(found: Evidence, edges: Sequence[RangeEdge], count: int) -> Finding:
    parts = []
    for edge in edges:
        domain = edge.column.domain
        if isinstance(domain, Categorical):
            numbers = sorted(c for c in domain.choices if is_number(c))
            end = numbers[-1] if edge.high else numbers[0]
        else:
            end = domain.high if edge.high else domain.low
        parts.append(
            f"{edge.column.path}: {percent(edge.share)} of the {count} best trials lie at the "
            f"{'upper' if edge.high else 'lower'} end of {domain}, at {figure(end)}, and trials "
            "get better towards it"
        )
    paths = [edge.column.path for edge in edges]
    worst = max(edge.chance for edge in edges)
    return Finding(
        "edge",
        f"the best {join_words(paths)} lie{'s' if len(paths) == 1 else ''} at the edge of what was "
        "searched",
        ". ".join(parts)
        + ". Better values may lie beyond."
        + (
            ""
            if found.context.is_foreign
            else f" `tunewright narrow {shlex.quote(found.context.study)}` widens it and narrows "
            "the rest."
        ),
        join_words([f"{percent(edge.share)} of the best" for edge in edges]),
        f"{p_text(worst)} for the slope towards the edge, for all parameters together",
        change_space(found.context, {e.column.path: e.wider for e in edges}, name="wider"),
        0.8,
        tuple(paths),
    )


def find_decided(found: Evidence) -> list[Finding]:
    """Return the choices that are better than all others of their parameter, beyond the noise."""
    tests = {}
    for path, column in found.effects.columns.items():
        if column.is_choice and len(column.levels) > 1:
            tests[path] = _compare_choices(column, found.effects.residuals(path))
    leaders = sum(count for count, _, _ in tests.values())
    decided: dict[str, tuple[int, float]] = {}
    for path, (_, level, chance) in tests.items():
        if level >= 0 and chance * leaders <= ALPHA:
            decided[path] = level, chance * leaders
    best = found.table.best()
    columns = found.effects.columns
    fixed = {
        path: columns[path].levels[level]
        for path, (level, _) in decided.items()
        if best is None or best.parameters.get(path) == columns[path].levels[level]
    }
    if not fixed:
        return []
    parts = [f"{path}: {_scores_by_choice(found, path)}" for path in fixed]
    names = [f"{path} = {figure(value)}" for path, value in fixed.items()]
    return [
        Finding(
            "decided",
            f"{join_words(names)} {'is' if len(names) == 1 else 'are'} decided",
            "; ".join(parts) + ". The better half of the trials of each other choice is worse than "
            "that of this one, the other parameters held constant.",
            "all other choices are worse",
            f"{p_text(max(decided[p][1] for p in fixed))}, Welch's test, all parameters together",
            _fix_choices(found, fixed),
            0.5,
            tuple(fixed),
        )
    ]


def _fix_choices(found: Evidence, fixed: Mapping[str, Any]) -> str:
    if found.context.needs_python:
        return change_space(found.context, {p: Categorical((v,)) for p, v in fixed.items()})
    return keep_fixed(found.context, fixed, found.record.name)


def _compare_choices(column: ParameterColumn, response: Floats) -> tuple[int, int, float]:
    """Compare all choices of a parameter by Welch's test.

    Returns a correction for the choice of the leader, its place, and the chance of its least lead.
    To lead over several others is rarer than over a single one: of three or more equal choices,
    one does at 5 % in less than 5 % of the cases, of two in 10 %. The place is -1 where one has
    too few trials, or where the better half of its trials is not behind as well: then it may only
    have been combined with worse values of others.
    """
    used = np.unique(column.codes[column.codes >= 0])
    groups = [response[column.codes == code] for code in used]
    if len(used) < 2 or min(map(len, groups)) < COMPARED:
        return 0, -1, 1.0
    lead = int(np.argmax([group.mean() for group in groups]))
    worst = 0.0
    for other, group in enumerate(groups):
        if other == lead:
            continue
        gap = float(groups[lead].mean() - group.mean())
        if _better_half(groups[lead]) - _better_half(group) < 0.5 * gap:
            return 0, -1, 1.0
        worst = max(worst, _welch(groups[lead], group))
    return 2 if len(used) == 2 else 1, int(used[lead]), worst


def _better_half(values: Floats) -> float:
    """Return the mean of the better half."""
    return float(np.sort(values)[len(values) // 2 :].mean())


def _welch(one: Floats, other: Floats) -> float:
    """Return the chance that the mean of one is not larger than that of another. Welch 1947."""
    a, b = float(one.var(ddof=1)) / len(one), float(other.var(ddof=1)) / len(other)
    if a + b <= 0:
        return 0.0 if one.mean() > other.mean() else 1.0
    degrees = (a + b) ** 2 / (a**2 / (len(one) - 1) + b**2 / (len(other) - 1))
    return upper_tail(float(one.mean() - other.mean()) / math.sqrt(a + b), degrees)


def _scores_by_choice(found: Evidence, path: str) -> str:
    """Return the number of trials and the best score of each choice."""
    column = found.table.columns[path]
    parts = []
    for code, level in enumerate(column.levels):
        rows = np.flatnonzero(column.codes == code)
        scores = [
            found.better(t.score)
            for t in (found.table.trials[i] for i in rows)
            if t.state == "done" and t.score is not None
        ]
        best = f", best {figure(found.better(max(scores)), 4)}" if scores else ", none finished"
        if len(rows):
            parts.append(f"{figure(level)} {trials(len(rows))}{best}")
    return "; ".join(parts)
