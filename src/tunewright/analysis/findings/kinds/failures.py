"""Findings on regions of the space where trials diverge, or run out of memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tunewright.analysis.findings.changes import change_space, round_number
from tunewright.analysis.findings.evidence import Evidence
from tunewright.analysis.findings.finding import Finding
from tunewright.analysis.findings.significance import (
    Mask,
    holm,
    p_text,
    stratified_wilcoxon,
)
from tunewright.analysis.findings.trial_table import ParameterColumn
from tunewright.analysis.findings.wording import figure, join_words, trials
from tunewright.runs.record import Trial, speaks_of_memory
from tunewright.spaces.domain import Categorical, Domain, Float, Int

FEWEST = 3
"""Failures at least, and as many trials without."""
LEVEL = 0.03
"""Of the tests: with few failures their normal approximation is a little too sure."""
CONTRAST = 0.25
"""Difference between the shares of failures inside and outside of a region at least."""


@dataclass(frozen=True)
class _Region:
    """Where trials fail. text: such as `optim.lr above 0.003`. inside, outside: (failed, trials).

    kept: the domain without it; None where the best trial lies in it.
    """

    path: str
    text: str
    inside: tuple[int, int]
    outside: tuple[int, int]
    kept: Domain | None

    @property
    def contrast(self) -> float:
        """The difference between the shares of failures."""
        return self.inside[0] / self.inside[1] - self.outside[0] / max(1, self.outside[1])


def find_unstable(found: Evidence) -> list[Finding]:
    """Return where in the space trials diverge."""

    def has_diverged(trial: Trial) -> bool:
        return trial.cause in ("diverged", "task weights collapsed") or (
            trial.state == "failed" and "nan" in trial.reason.lower().split()
        )

    return _find(found, has_diverged, "unstable", "diverge", 0.7)


def find_out_of_memory(found: Evidence) -> list[Finding]:
    """Return where in the space trials run out of memory."""

    def too_large(trial: Trial) -> bool:
        return trial.cause == "out of memory" or (
            trial.state in ("failed", "infeasible") and speaks_of_memory(trial.reason)
        )

    return _find(found, too_large, "out_of_memory", "run out of memory", 0.65)


def _find(
    found: Evidence, failed: Callable[[Trial], bool], name: str, verb: str, weight: float
) -> list[Finding]:
    table = found.table
    kinds = ("done", "pruned", "paused", "infeasible")
    rows = [i for i, t in enumerate(table.trials) if t.state in kinds or failed(t)]
    marked = np.array([failed(table.trials[i]) for i in rows], dtype=bool)
    if not FEWEST <= int(marked.sum()) <= len(rows) - FEWEST:
        return []
    columns = {path: column.take(rows) for path, column in table.columns.items()}
    chances: dict[str, float] = {}
    for path, column in columns.items():
        chances[path] = _chance(column, marked)
    together = holm(list(chances.values()))
    certain = [(c, path) for c, path in zip(together, chances, strict=True) if c <= LEVEL]
    best = table.best()
    regions = []
    for chance, path in sorted(certain):
        region = _region(columns[path], marked, best)
        if region is not None and region.contrast >= CONTRAST:
            regions.append((chance, region))
    if not regions:
        return []
    shown = regions[:3]
    kept = {r.path: r.kept for _, r in shown if r.kept is not None}
    numbers = [table.trials[i].number for i, bad in zip(rows, marked, strict=True) if bad]
    change = (
        change_space(found.context, kept, name="safe")
        if kept
        else (
            "the best trial lies in that region: keep it, and replicate the best before trusting it"
        )
    )
    return [
        Finding(
            name,
            f"trials {verb} with {join_words([r.text for _, r in shown])}",
            "; ".join(
                f"{r.text}: {r.inside[0]} of {trials(r.inside[1])}, else {r.outside[0]} of "
                f"{r.outside[1]}"
                for _, r in shown
            )
            + ".",
            f"{100 * shown[0][1].contrast:.0f} points more often",
            f"{p_text(max(c for c, _ in shown))}, rank test within blocks of time, for all "
            "parameters together",
            change,
            weight,
            tuple(r.path for _, r in shown),
            tuple(numbers[:50]),
        )
    ]


def _chance(column: ParameterColumn, marked: Mask) -> float:
    """Return the chance that failures have nothing to do with a parameter."""
    present = column.present
    if not FEWEST <= int(marked[present].sum()) <= int(present.sum()) - FEWEST:
        return 1.0
    if not column.is_choice:
        return stratified_wilcoxon(column.units[present], marked[present])[1]
    codes = np.unique(column.codes[present])
    if len(codes) < 2:
        return 1.0
    chances = [
        stratified_wilcoxon((column.codes[present] == code).astype(np.float64), marked[present])[1]
        for code in codes
    ]
    return min(1.0, min(chances) * (len(codes) if len(codes) > 2 else 1))


def _region(column: ParameterColumn, marked: Mask, best: Trial | None) -> _Region | None:
    present = column.present
    if column.is_choice:
        return _choices(column, marked, best)
    units, failing = column.units[present], marked[present]
    cuts = np.unique(units[failing])
    found: list[tuple[float, float, bool]] = []
    for cut in cuts[np.linspace(0, len(cuts) - 1, min(50, len(cuts))).astype(int)]:
        for above in (True, False):
            inside = units >= cut if above else units <= cut
            if inside.all() or inside.sum() < FEWEST:
                continue
            inner, outer = float(failing[inside].mean()), float(failing[~inside].mean())
            covered = float(failing[inside].sum() / failing.sum())
            found.append(((inner - outer) * covered, float(cut), above))
    if not found:
        return None
    _, cut, above = max(found)
    inside = units >= cut if above else units <= cut
    at = round_number(column.value(cut))
    word = "at least" if above else "at most"
    return _Region(
        column.path,
        f"{column.path} {word} {figure(at)}",
        (int(failing[inside].sum()), int(inside.sum())),
        (int(failing[~inside].sum()), int((~inside).sum())),
        _without(column, at, above, best),
    )


def _without(column: ParameterColumn, at: float, above: bool, best: Trial | None) -> Domain | None:
    domain, value = column.domain, None if best is None else best.parameters.get(column.path)
    assert not isinstance(domain, Categorical)
    low, high = (domain.low, at) if above else (at, domain.high)
    if isinstance(domain, Int):
        low, high = (domain.low, int(at) - 1) if above else (int(at) + 1, domain.high)
    if low >= high or (value is not None and not low <= value <= high):  # type: ignore[operator]
        return None
    if isinstance(domain, Int):
        return Int(int(low), int(high), domain.log, domain.step)
    return Float(float(low), float(high), domain.log, domain.step)


def _choices(column: ParameterColumn, marked: Mask, best: Trial | None) -> _Region | None:
    present = column.present
    overall = float(marked[present].mean())
    bad = [
        code
        for code in range(len(column.levels))
        if (rows := column.codes == code).any() and float(marked[rows].mean()) > overall
    ]
    inside = np.isin(column.codes, bad) & present
    outside = present & ~inside
    if not bad or not outside.any():
        return None
    kept = [level for code, level in enumerate(column.levels) if code not in bad]
    if best is not None and best.parameters.get(column.path) not in kept:
        kept = []
    names: Sequence[str] = [figure(column.levels[code]) for code in bad]
    return _Region(
        column.path,
        f"{column.path} = {' or '.join(names)}",
        (int(marked[inside].sum()), int(inside.sum())),
        (int(marked[outside].sum()), int(outside.sum())),
        Categorical(tuple(kept)) if kept else None,
    )
