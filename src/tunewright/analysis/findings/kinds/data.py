"""Findings on the data: rare classes that stay poor, a subset that ranks unlike the whole."""

import shlex
from collections import defaultdict
from collections.abc import Hashable

import numpy as np

from tunewright.analysis.findings.changes import new_study
from tunewright.analysis.findings.evidence import Evidence, point_of
from tunewright.analysis.findings.finding import Finding
from tunewright.analysis.findings.significance import Floats, correlation_upper, rank_correlation
from tunewright.analysis.findings.wording import figure, percent, trials
from tunewright.runs.record import Trial
from tunewright.spaces.domain import is_number

HEADS = ("head", "many")
TAILS = ("tail", "few")
"""Parts of metrics of frequent and of rare classes."""
LOW = 0.5
"""Ratio of a tail metric to its head below which the tail performs poorly."""
FLAT = 0.4
"""Correlation of a tail metric with the goal that it surely does not reach where it is flat."""
FIDELITIES = ("subset", "fraction", "train_rows", "train_num_samples", "n_samples", "max_rows")
"""Parts of the names of parameters that say how much data a trial sees."""
AGREEMENT = 0.6
"""Kendall's tau between subset and whole below which a subset ranks unlike the whole."""


def find_flat_tail(found: Evidence) -> list[Finding]:
    """Return whether rare classes stay poor although the goal gets better."""
    if any(part in TAILS for part in found.record.goal.lower().split("_")):
        return []
    names = sorted({name for trial in found.done for name in trial.metrics})
    for tail in names:
        parts = tail.split("_")
        place = next((i for i, part in enumerate(parts) if part in TAILS), None)
        if place is None:
            continue
        head = "_".join([*parts[:place], HEADS[TAILS.index(parts[place])], *parts[place + 1 :]])
        rows = [t for t in found.done if tail in t.metrics and head in t.metrics]
        if len(rows) < 12:
            continue
        tails = np.array([t.metrics[tail] for t in rows])
        heads = np.array([t.metrics[head] for t in rows])
        goals = np.array([found.better(t.score) for t in rows if t.score is not None])
        bound = correlation_upper(rank_correlation(tails, goals), len(rows))
        if np.quantile(tails, 0.9) < LOW * np.median(heads) and bound < FLAT:
            return [_flat_tail(found, tail, head, tails, heads, bound)]
    return []


def _flat_tail(
    found: Evidence, tail: str, head: str, tails: Floats, heads: Floats, bound: float
) -> Finding:
    change = f"return {tail}  # or the mean over classes as the goal"
    if not found.context.needs_python:
        change = new_study(found.context, found.record.name, "tail", shlex.quote(f"goal={tail}"))
    return Finding(
        "tail_flat",
        f"rare classes stay poor: {tail} is {figure(float(np.median(tails)), 2)}, {head} "
        f"{figure(float(np.median(heads)), 2)}",
        f"over {trials(len(tails))} {tail} does not rise with {found.record.goal} (correlation "
        f"below {figure(bound, 2)} at 95 %): the search gets better on frequent classes alone. "
        "Logit adjustment, a higher tau and weighted sampling raise rare ones.",
        f"{percent(float(np.median(tails) / np.median(heads)))} of {head}",
        "upper bound of the rank correlation at 95 %",
        change,
        0.6,
    )


def find_unlike_subset(found: Evidence) -> list[Finding]:
    """Return whether trials on part of the data rank unlike the same ones on more of it."""
    for path, column in found.table.ended_columns.items():
        if column.is_choice and not column.is_ordered:
            continue
        if not any(part in path.lower() for part in FIDELITIES):
            continue
        groups: dict[Hashable, dict[float, Trial]] = defaultdict(dict)
        for trial in found.done:
            size = trial.parameters.get(path)
            if is_number(size):
                rest = {p: v for p, v in trial.parameters.items() if p != path}
                groups[point_of(rest)][float(size)] = trial
        pairs = [(g[min(g)].score, g[max(g)].score) for g in groups.values() if len(g) > 1]
        if len(pairs) < 8:
            continue
        low, tau, high = tau_interval(np.array(pairs, dtype=np.float64))
        if high < AGREEMENT:
            return [_unlike(found, path, len(pairs), (low, tau, high))]
    return []


def tau_interval(pairs: Floats, draws: int = 300) -> tuple[float, float, float]:
    """Return Kendall's tau of pairs [count, 2] with its 95 % interval, by bootstrap."""
    signs = np.sign(pairs[:, None, :] - pairs[None, :, :])
    agree = signs[..., 0] * signs[..., 1]  # [count, count]
    rng = np.random.default_rng(0)
    count = len(pairs)
    taus = []
    for _ in range(draws):
        rows = rng.integers(0, count, count)
        different = rows[:, None] != rows[None, :]
        chosen = agree[rows[:, None], rows[None, :]]
        taus.append(float(chosen[different].mean()) if different.any() else 0.0)
    low, high = np.quantile(taus, [0.025, 0.975])
    tau = float(agree[~np.eye(count, dtype=bool)].mean())
    return float(low), tau, float(high)


def _unlike(found: Evidence, path: str, count: int, tau: tuple[float, float, float]) -> Finding:
    sizes = sorted({s for t in found.done if is_number(s := t.parameters.get(path))})
    return Finding(
        "subset",
        f"trials on less data rank unlike those on more ({path})",
        f"{count} configurations were trained with the least and with the most: Kendall's tau is "
        f"{figure(tau[1], 2)} ({figure(tau[0], 2)} to {figure(tau[2], 2)}), so that the winner on "
        "the subset is not the winner on the whole.",
        f"tau {figure(tau[1], 2)}, 0.8 or more is usual for a subset that can be trusted",
        "95 % interval, bootstrap of configurations",
        f"{path} = {figure(sizes[1])}  # or more",
        0.7,
        (path,),
    )
