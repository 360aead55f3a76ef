"""Findings on the best trials: whether they agree in their parameters."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tunewright.analysis.findings.changes import more_trials, narrow_space, round_number
from tunewright.analysis.findings.evidence import Evidence
from tunewright.analysis.findings.finding import Finding
from tunewright.analysis.findings.significance import ALPHA, Floats, holm, p_text
from tunewright.analysis.findings.trial_table import Codes, ParameterColumn
from tunewright.analysis.findings.wording import figure, join_words, trials
from tunewright.spaces.domain import Categorical, Domain, Int, canonical, nearest

FEWEST = 20
"""Trials at least of which the best can be compared with the others."""
AGREED = 0.6
"""Ratio of the spread of the best trials to that of others below which they agree."""
SHUFFLES = 400
"""Permutations of a test."""


def find_top(found: Evidence) -> list[Finding]:
    """Return whether the best trials agree in their parameters, or in none of them."""
    table, count = found.table, len(found.table.ended)
    size = min(30, max(5, math.ceil(0.15 * count)))
    if count < FEWEST or sum(table.done) < size:
        return []
    top = table.top(size)
    columns = {p: c for p, c in table.ended_columns.items() if c.present.mean() >= 0.8}
    if not columns:
        return []
    blocks = _shuffles(count, top)
    narrow = {path: _narrowness(column, top, blocks) for path, column in columns.items()}
    chances = holm([chance for chance, _ in narrow.values()])
    agreed = [
        path
        for (path, (_, ratio)), chance in zip(narrow.items(), chances, strict=True)
        if chance <= ALPHA and ratio < AGREED
    ]
    if agreed:
        return [
            _agreement(
                found,
                top,
                {p: columns[p] for p in agreed},
                max(c for c, p in zip(chances, narrow, strict=True) if p in agreed),
            )
        ]
    if size >= 10 and all(_is_spread(column, top) for column in columns.values()):
        return [
            Finding(
                "top_disagree",
                f"the {size} best trials have no parameter in common",
                f"in each of {join_words(list(columns))} they are spread nearly as widely as all "
                f"{trials(count)}: which region is best is open, or the differences are noise.",
                "each spread is more than half of that of all trials",
                "all upper and lower bounds at 95 %",
                more_trials(found.context, 2 * found.context.ran),
                0.45,
                trials=tuple(table.trials[table.ended[i]].number for i in top),
            )
        ]
    return []


def _shuffles(count: int, top: Codes) -> Codes:
    """Return [SHUFFLES, top] places drawn at random near those of the best trials.

    Near in time: a sampler that learns draws late trials close together, good or not.
    """
    rng = np.random.default_rng(0)
    reach = max(10, count // 8)
    drawn = np.array(top)[None, :] + rng.integers(-reach, reach + 1, (SHUFFLES, len(top)))
    drawn = np.where(drawn < 0, -drawn, drawn)
    return np.where(drawn >= count, 2 * (count - 1) - drawn, drawn).clip(0, count - 1)


def _narrowness(column: ParameterColumn, top: Codes, shuffles: Codes) -> tuple[float, float]:
    """Return the chance that random trials lie as close together, and the ratio of spreads."""
    own = _spread(column, np.array(top)[None, :])[0]
    drawn = _spread(column, shuffles)
    usual = float(np.median(drawn))
    chance = (1 + int((drawn <= own).sum())) / (len(drawn) + 1)
    return chance, own / usual if usual > 0 else 1.0


def _spread(column: ParameterColumn, rows: Codes) -> Floats:
    """Return [sets] how far values lie apart: the middle half of numbers, the mix of choices."""
    if column.is_choice:
        codes = column.codes[rows]
        shares = np.stack([(codes == c).mean(axis=1) for c in range(len(column.levels))])
        mixed: np.ndarray = 1.0 - (shares**2).sum(axis=0)
        return mixed
    units = np.where(column.present, column.units, np.nanmedian(column.units))[rows]
    units = np.sort(units, axis=1)
    cut = round(0.15 * (units.shape[1] - 1))
    spread: np.ndarray = units[:, -1 - cut] - units[:, cut]
    return spread


def _is_spread(column: ParameterColumn, top: Codes) -> bool:
    """Return whether the best are surely more than half as spread out as all are."""
    from scipy.special import chdtri

    if column.is_choice:
        alls = np.bincount(column.codes[column.codes >= 0], minlength=len(column.levels))
        best = column.codes[top]
        bests = np.bincount(best[best >= 0], minlength=len(column.levels))
        return bool(np.abs(alls / alls.sum() - bests / bests.sum()).sum() / 2 < 0.35)
    own, all_of = np.nanstd(column.units[top], ddof=1), np.nanstd(column.units)
    degrees = len(top) - 1
    lower = own * math.sqrt(degrees / float(chdtri(degrees, ALPHA)))
    return bool(lower > 0.5 * all_of)


def _agreement(
    found: Evidence, top: Codes, columns: Mapping[str, ParameterColumn], chance: float
) -> Finding:
    domains: dict[str, Domain] = {}
    parts = []
    for path, column in columns.items():
        values = [found.table.trials[found.table.ended[i]].parameters.get(path) for i in top]
        domains[path], text = _region(column, column.units[top], values)
        parts.append(f"{path} {text}")
    return Finding(
        "top_agree",
        f"the {len(top)} best trials agree in {join_words(list(columns))}",
        f"{'; '.join(parts)}. Trials of about the same time are spread more widely.",
        f"less than {AGREED:.1f} times as spread out as other trials",
        f"{p_text(chance)}, permutation test, for all parameters together",
        narrow_space(found.context, found.record.name, domains),
        0.35,
        tuple(columns),
        tuple(found.table.trials[found.table.ended[i]].number for i in top),
    )


def _region(column: ParameterColumn, units: Floats, values: Sequence[object]) -> tuple[Domain, str]:
    """Return the part of a domain where the best trials lie, with a margin, and its text."""
    domain = column.domain
    if isinstance(domain, Categorical):
        used = [c for c in domain.choices if any(canonical(v) == canonical(c) for v in values)]
        counts = [(sum(canonical(v) == canonical(c) for v in values), c) for c in used]
        return Categorical(tuple(used) or domain.choices), "is " + join_words(
            [f"{figure(c)} ({n})" for n, c in sorted(counts, key=lambda one: -one[0])]
        )
    low, high = float(np.nanmin(units)), float(np.nanmax(units))
    margin = max(0.05, 0.25 * (high - low))
    ends = [column.value(max(0.0, low - margin)), column.value(min(1.0, high + margin))]
    text = f"from {figure(column.value(low))} to {figure(column.value(high))}"
    first, last = (nearest(domain, round_number(end)) for end in ends)
    if isinstance(domain, Int):
        return Int(first, max(first, last), domain.log, domain.step), text
    return type(domain)(first, last, domain.log, domain.step), text
