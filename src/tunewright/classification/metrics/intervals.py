"""Confidence intervals of scores, and differences of two models. Imports without torch.

Labels and predictions are int64 [N]. Every score follows from how often each pair of label and
prediction occurs, so the bootstrap draws these counts and not rows: its cost grows with the number
of distinct pairs, not with the rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tunewright.analysis.score_intervals import (
    LEVEL,
    RESAMPLES,
    has_no_width,
    percentiles,
    wilson,
    wilson_without_spread,
)
from tunewright.classification.losses.class_weights import Counts, Floats
from tunewright.classification.metrics.class_groups import class_groups
from tunewright.classification.metrics.confusion_scores import ConfusionCounts, Ints
from tunewright.errors import DataError

CELLS_AT_ONCE = 2_000_000
"""Most drawn counts in memory."""
RARE = 6
"""A pair with fewer rows is drawn row by row."""


@dataclass(frozen=True)
class Difference:
    """How much higher a score is than another model's on the same rows, with its interval.

    method: `wilson` if all resamples have the same difference, usually 0: two models that agree on
    all rows seen may still differ on others.
    """

    value: float
    low: float
    high: float
    method: Literal["bootstrap", "wilson"] = "bootstrap"

    @property
    def is_tied(self) -> bool:
        """Whether the interval contains 0, so that neither model can be called better."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class McNemar:
    """Rows that only one of two models predicts correctly, and the p-value of the imbalance.

    p_value: exact and two-sided. Source: McNemar 1947; Fay 2010 for the exact form.
    """

    only_first: int
    only_second: int
    p_value: float


def bootstrap_intervals(
    labels: Ints,
    predictions: Ints,
    class_counts: Counts,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return percentile intervals (low, high) of all scores of `ConfusionCounts.scores`.

    All come from the same draws. class_counts: [C] training images, for the groups. Draws without a
    row of a group are ignored for that group. If all rows that count are correct, or all wrong,
    every draw is the same: accuracies then have Wilson's interval. Left out: groups without rows,
    other scores without width. Source: Efron and Tibshirani 1993, section 13.3.
    """
    pairs, numbers = _cells(class_counts, labels, predictions)
    draws = _draws(numbers, resamples, seed)
    scores = _join(_scores(drawn, pairs, 1, class_counts) for drawn in draws)
    right = labels == predictions
    found = {}
    for name, values in scores.items():
        known = values[~np.isnan(values)]
        if not len(known):
            continue
        found[name] = percentiles(known, level=level)
        if has_no_width(found[name]):
            del found[name]
            if _is_of_rows(name) and name.endswith("accuracy"):
                counted = _class_mask(name, class_counts)[labels]
                hits, rows = right[counted].sum(), counted.sum()
                found[name] = wilson(int(hits), int(rows), level=level)
    return found


def bootstrap_differences(
    labels: Ints,
    predictions: Ints,
    others: Ints,
    class_counts: Counts,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Difference]:
    """Return how much higher each score is with `predictions` than with `others`, on the same rows.

    Both are resampled together: rows hard for one model are mostly hard for the other, so the
    interval is narrower than two of `bootstrap_intervals` suggest. Options as there.
    """
    cells, numbers = _cells(class_counts, labels, predictions, others)

    def gain(drawn: Ints) -> dict[str, Floats]:
        mine, theirs = (_scores(drawn, cells, column, class_counts) for column in (1, 2))
        return {name: mine[name] - theirs[name] for name in mine}

    draws = _draws(numbers, resamples, seed)
    measured, drawn_gains = gain(numbers[None]), _join(gain(drawn) for drawn in draws)
    found = {}
    for name, [value] in measured.items():
        known = drawn_gains[name][~np.isnan(drawn_gains[name])]
        if np.isnan(value) or not len(known):
            continue
        found[name] = Difference(float(value), *percentiles(known, level=level))
        if has_no_width((found[name].low, found[name].high)):
            units = _units(name, labels, class_counts)
            ends = wilson_without_spread(float(value), units, lowest=-1.0, level=level)
            found[name] = Difference(float(value), *ends, "wilson")
    return found


def mcnemar(labels: Ints, predictions: Ints, others: Ints) -> McNemar:
    """Test whether two models differ in accuracy on the same rows, by the exact test."""
    from scipy.special import bdtr  # 0.3 s to import, and only here

    right, other_right = predictions == labels, others == labels
    first, second = int((right & ~other_right).sum()), int((other_right & ~right).sum())
    tail = float(bdtr(min(first, second), first + second, 0.5))
    return McNemar(first, second, min(1.0, 2 * tail) if first + second else 1.0)


def _cells(class_counts: Counts, *columns: Ints) -> tuple[Ints, Ints]:
    """Return the distinct rows [K, columns] of the columns [N], and how often each occurs [K]."""
    rows, classes = len(columns[0]), len(class_counts)
    if rows == 0 or any(len(column) != rows for column in columns):
        raise DataError(
            f"{' and '.join(str(len(column)) for column in columns)} labels and predictions",
            expected="one of each for every row, and at least one row",
        )
    table = np.stack([np.asarray(column, dtype=np.int64) for column in columns])
    if table.min() < 0 or table.max() >= classes:
        raise DataError(
            f"class {table.min() if table.min() < 0 else table.max()} among labels or predictions",
            expected=f"0 to {classes - 1}",
        )
    # One number per row, since numbers sort far faster than rows of a table: with 3 classes the
    # row (1, 2) is 1 * 3 + 2 = 5.
    code = np.ravel_multi_index(tuple(table), (classes,) * len(columns))
    codes, numbers = np.unique(code, return_counts=True)
    cells = np.stack(np.unravel_index(codes, (classes,) * len(columns)), axis=1)
    return cells.astype(np.int64), numbers.astype(np.int64)


def _draws(numbers: Ints, resamples: int, seed: int) -> Iterator[Ints]:
    """Yield how often each cell occurs in samples with replacement, [draws, K], some at a time."""
    generator = np.random.default_rng(seed)
    at_once = max(1, min(resamples, CELLS_AT_ONCE // len(numbers)))
    for start in range(0, resamples, at_once):
        yield draw_counts(generator, numbers, min(at_once, resamples - start))


def draw_counts(generator: np.random.Generator, numbers: Ints, size: int) -> Ints:
    """Draw how often each cell [K] occurs among as many draws as there are rows: [size, K].

    A count costs NumPy about as much as six rows, and most pairs of a label with a wrong prediction
    occur once or twice. So rare cells first share one cell, and its count is then distributed row
    by row: the same distribution, in a fraction of the time.
    """
    rare = numbers < RARE
    chances = np.append(numbers[~rare], numbers[rare].sum()) / numbers.sum()
    counts = generator.multinomial(numbers.sum(), chances, size=size)  # [size, frequent + 1]
    drawn = np.empty((size, len(numbers)), dtype=np.int64)
    drawn[:, ~rare] = counts[:, :-1]
    if rare.any():
        cells = int(rare.sum())
        cell_of_row = np.repeat(np.arange(cells), numbers[rare])
        fallen = cell_of_row[generator.integers(0, len(cell_of_row), counts[:, -1].sum())]
        fallen += np.repeat(cells * np.arange(size), counts[:, -1])
        drawn[:, rare] = np.bincount(fallen, minlength=size * cells).reshape(size, cells)
    return drawn


def _scores(drawn: Ints, cells: Ints, column: int, class_counts: Counts) -> dict[str, Floats]:
    """Return scores [draws] of the predictions in a column of the cells."""
    labels, predictions = cells[:, 0], cells[:, column]
    hit, classes = labels == predictions, len(class_counts)
    tally = ConfusionCounts(
        _by_class(drawn[:, hit], labels[hit], classes),
        _by_class(drawn, labels, classes),
        _by_class(drawn, predictions, classes),
    )
    return tally.scores(class_groups(class_counts))


def _by_class(drawn: Ints, cell_classes: Ints, classes: int) -> Ints:
    """Return sums [draws, C] of the cells [draws, K] of each class [K]."""
    sums = np.zeros((len(drawn), classes), dtype=np.int64)
    if len(cell_classes):
        order = np.argsort(cell_classes, kind="stable")
        present, first = np.unique(cell_classes[order], return_index=True)
        sums[:, present] = np.add.reduceat(drawn[:, order], first, axis=1)
    return sums


def _join(parts: Iterator[Mapping[str, Floats]]) -> dict[str, Floats]:
    together: dict[str, list[Floats]] = {}
    for part in parts:
        for name, values in part.items():
            together.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in together.items()}


def _class_mask(name: str, class_counts: Counts) -> npt.NDArray[np.bool_]:
    """Return the classes [C] whose rows a score counts: those of its group, or all."""
    every = np.ones(len(class_counts), dtype=np.bool_)
    return class_groups(class_counts).get(name.rpartition("_")[0], every)


def _is_of_rows(name: str) -> bool:
    """Return whether a score counts every row equally; other scores count every class equally."""
    of_rows = name == "weighted_f1" or name.endswith("accuracy")
    return of_rows and name != "balanced_accuracy"


def _units(name: str, labels: Ints, class_counts: Counts) -> list[int]:
    """Return how many rows a score counts: in total, or of each class that has some."""
    rows = np.bincount(labels, minlength=len(class_counts))[_class_mask(name, class_counts)]
    return [int(rows.sum())] if _is_of_rows(name) else rows[rows > 0].tolist()
