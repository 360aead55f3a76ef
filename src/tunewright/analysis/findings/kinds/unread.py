"""Findings on parameters that are sampled and not used: never read, or only by another choice."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.analysis.findings.changes import change_space
from tunewright.analysis.findings.effects import Effects, EffectTest
from tunewright.analysis.findings.evidence import Evidence
from tunewright.analysis.findings.finding import Finding
from tunewright.analysis.findings.kinds.parameters import NO_EFFECT
from tunewright.analysis.findings.kinds.scores import same_scores
from tunewright.analysis.findings.significance import ALPHA, Mask, holm
from tunewright.analysis.findings.trial_table import ParameterColumn
from tunewright.analysis.findings.wording import figure, join_words, trials
from tunewright.runs.record import Trial

CHANCE = 0.001
"""Chance of equal scores by accident above which they prove nothing."""
PAIRS = 3
"""Pairs of trials at least that differ in one parameter alone."""
MOST = 60
"""Pairs of a parameter and a choice that are looked at."""
BRANCH = 20
"""Trials of a choice at least in which a parameter's effect is tested."""


def find_unread(found: Evidence) -> list[Finding]:
    """Return the parameters that no code reads: trials that differ in one alone score the same."""
    done = found.done
    pairs = {p: _pairs_without(found, p, done) for p in found.table.columns}
    unread = {p: equal for p, equal in pairs.items() if equal and _proves(done, len(equal))}
    if not unread:
        return []
    paths = list(unread)
    one, other = unread[paths[0]][0]
    fixed = {path: found.table.columns[path].domain for path in paths}
    lines = [f"{p} over {figure(str(d))}" for p, d in fixed.items()]
    return [
        Finding(
            "unread",
            f"{join_words(paths)} {'is' if len(paths) == 1 else 'are'} never read",
            f"trials that differ in nothing else have the same {found.record.goal} to the last "
            f"digit, such as {one.number} and {other.number}; searched: {join_words(lines)}. Check "
            "the spelling, and that the code uses it.",
            f"{sum(map(len, unread.values()))} pairs, all equal",
            f"such pairs are equal by accident with p < {CHANCE}",
            f"grep -rn {paths[0].rpartition('.')[2]!r} .  # where the program reads it",
            0.95,
            tuple(paths),
            tuple(dict.fromkeys(t.number for p in unread.values() for two in p for t in two))[:50],
        )
    ]


def _pairs_without(found: Evidence, path: str, done: Sequence[Trial]) -> list[tuple[Trial, Trial]]:
    """Return pairs of trials that differ in one parameter alone; none where any pair differs."""
    hashes = found.hashes
    if path not in hashes:
        return []
    total = sum(hashes.values(), np.zeros(len(done), dtype=np.uint64))
    own = hashes[path]
    keys = total - own
    order = np.argsort(keys, kind="stable")
    neighbours = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    pairs = []
    for place in neighbours:
        one, other = order[place], order[place + 1]
        if own[one] == own[other]:
            continue
        if not same_scores(done[one], done[other]):
            return []
        pairs.append((done[one], done[other]))
    return pairs


def _proves(done: Sequence[Trial], pairs: int) -> bool:
    """Return whether so many pairs of equal scores cannot be an accident."""
    if pairs < PAIRS:
        return False
    scores = np.array([trial.score for trial in done], dtype=np.float64)
    _, counts = np.unique(scores, return_counts=True)
    count = len(scores)
    equal = float((counts * (counts - 1)).sum()) / max(1, count * (count - 1))
    by_accident = max(equal, 1.0 / count)
    return bool(pairs * math.log(by_accident) < math.log(CHANCE))


@dataclass(frozen=True)
class _Branches:
    """A parameter, the choice that decides whether it is read, and how that is known.

    used, unused: values of the choice. by_name: whether its name says so.
    """

    path: str
    choice: str
    used: tuple[Any, ...]
    unused: tuple[Any, ...]
    why: str
    by_name: bool


def find_unused(found: Evidence) -> list[Finding]:
    """Return the parameters that one choice reads, and that are sampled with the others too."""
    columns = found.table.ended_columns
    cases = [
        (path, choice)
        for path, column in columns.items()
        if column.present.all()  # else it has a condition already
        for choice, branches in columns.items()
        if choice != path and branches.is_choice and 2 <= len(branches.levels) <= 8
        if _is_related(path, choice, branches)
    ]
    split = [_split(found, path, choice, len(cases)) for path, choice in cases[:MOST]]
    shown = list({one.path: one for one in split if one is not None}.values())
    if not shown:
        return []
    paths = [one.path for one in shown]
    are, it = ("is", "it") if len(paths) == 1 else ("are", "them")
    return [
        Finding(
            "unused",
            f"{join_words(paths)} {are} sampled where nothing reads {it}",
            "; ".join(
                f"{one.path} is sampled with {one.choice} = {_texts(one.unused)} too, {one.why}"
                for one in shown
            )
            + ". It blurs what the sampler learns of the others.",
            join_words([f"{one.path}: with {_texts(one.unused)}" for one in shown]),
            "by name, and without an effect there"
            if all(one.by_name for one in shown)
            else "an effect in one branch beyond chance, and none in the other at 95 %",
            _conditions(found, shown),
            0.85,
            tuple(paths),
        )
    ]


def _texts(values: Sequence[Any]) -> str:
    return join_words([figure(value) for value in values])


def _tokens(text: str) -> set[str]:
    return {token for token in re.split(r"[^0-9a-z]+", text.lower()) if token}


def _is_related(path: str, choice: str, branches: ParameterColumn) -> bool:
    """Return whether a parameter may belong to some of the choices: by section or by name."""
    section, other = path.rpartition(".")[0], choice.rpartition(".")[0]
    return (section == other and section != "") or bool(_find_named(path, branches))


def _find_named(path: str, branches: ParameterColumn) -> list[int]:
    """Return the places of the choices that a parameter's name contains: `focal_gamma`."""
    words = _tokens(path.rpartition(".")[2])
    found = []
    for place, level in enumerate(branches.levels):
        tokens = _tokens(level) if isinstance(level, str) else set()
        if any(len(token) >= 3 for token in tokens) and tokens < words:
            found.append(place)
    return found


def _split(found: Evidence, path: str, choice: str, tests: int) -> _Branches | None:
    """Return which values of a choice read a parameter; None where nothing says that some do not.

    tests: how many parameters and choices are looked at.
    """
    column, branches = found.table.ended_columns[path], found.table.ended_columns[choice]
    levels = branches.levels
    sampled = [
        code
        for code in range(len(levels))
        if int((column.present & (branches.codes == code)).sum()) >= PAIRS
    ]
    effects = {c: t for c in sampled if (t := _test_within(found, path, branches.codes == c))}
    if named := _find_named(path, branches):
        unused = [code for code in sampled if code not in named]
        chances = holm([effects[code].chance for code in unused if code in effects])
        if not unused or min(chances, default=1.0) <= ALPHA:
            return None
        used, why = named, "where its name says that it belongs to "
    else:
        level = ALPHA / (tests * max(1, len(effects)))
        used = [code for code, test in effects.items() if test.chance <= level]
        unused = [c for c, t in effects.items() if t.upper < 2 * NO_EFFECT and t.chance > ALPHA]
        if not used or not unused or len(used) + len(unused) < len(sampled):
            return None
        rows = sum(int((branches.codes == code).sum()) for code in unused)
        why = f"where it explains nothing ({trials(rows)}), unlike with "
    of_used = tuple(levels[code] for code in used)
    of_unused = tuple(levels[code] for code in unused)
    return _Branches(path, choice, of_used, of_unused, why + _texts(of_used), bool(named))


def _test_within(found: Evidence, path: str, rows: Mask) -> EffectTest | None:
    """Return the test of a parameter among some of the ended trials."""
    if int(rows.sum()) < BRANCH:
        return None
    places = np.flatnonzero(rows)
    columns = {p: c.take(places) for p, c in found.table.ended_columns.items()}
    return Effects(columns, found.table.quality[places]).test(path)


def _conditions(found: Evidence, shown: Sequence[_Branches]) -> str:
    if found.context.needs_python:
        return "\n".join(
            f"if params[{one.choice!r}] in {list(one.used)!r}:  # only then suggest {one.path!r}"
            for one in shown
        )
    domains = {one.path: found.table.columns[one.path].domain for one in shown}
    when = {one.path: {one.choice: list(one.used)} for one in shown}
    return change_space(found.context, domains, name="conditional", when=when)
