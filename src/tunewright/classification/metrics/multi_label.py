"""Figures of several labels a picture: average precision of each, their mean, and intervals.

targets: bool [N, C]; scores: floats [N, C], higher for labels that are likelier. Imports without
torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tunewright.analysis.score_intervals import LEVEL, RESAMPLES, percentiles

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
CELLS_AT_ONCE = 4_000_000
"""Most drawn weights in memory."""


@dataclass(frozen=True)
class LabelRow:
    """One label: how many pictures have it, its average precision, and F1 at probability 0.5.

    interval: of the average precision, 95 %; None where no picture, or every one, has the label.
    """

    name: str
    pictures: int
    average_precision: float
    interval: tuple[float, float] | None
    precision: float
    recall: float
    f1: float


def average_precisions(targets: Bools, scores: Floats) -> Floats:
    """Return the average precision of each label, [C]; NaN for one that no picture has.

    The sum over thresholds of precision times the step in recall, without interpolation; equal
    scores are one threshold. As `sklearn.metrics.average_precision_score`.
    """
    ones = np.ones((1, len(targets)))
    return np.array([_weighted(t, s, ones)[0] for t, s in zip(targets.T, scores.T, strict=True)])


def mean_average_precision(targets: Bools, scores: Floats) -> float:
    """Return the mean of `average_precisions` over the labels that some picture has."""
    found = average_precisions(targets, scores)
    return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")


def precision_intervals(
    targets: Bools,
    scores: Floats,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[list[tuple[float, float] | None], tuple[float, float] | None]:
    """Return percentile intervals of each label's average precision, and of their mean.

    Pictures are drawn with replacement, the same for all labels; draws without a picture of a label
    are left out for it. Source: Efron and Tibshirani 1993, section 13.3.
    """
    rows, labels = targets.shape
    draws, drawn = np.random.default_rng(seed), []
    step = max(1, CELLS_AT_ONCE // max(1, rows))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        weights = draws.multinomial(rows, np.full(rows, 1.0 / rows), size=count).astype(float)
        columns = zip(targets.T, scores.T, strict=True)
        drawn.append(np.stack([_weighted(t, s, weights) for t, s in columns], 1))
    every = np.concatenate(drawn)  # [resamples, C]
    each = [_interval(every[:, label], targets[:, label], level) for label in range(labels)]
    known = np.isfinite(every).any(1)
    if not known.any():
        return each, None
    return each, percentiles(np.nanmean(every[known], axis=1), level=level)


def label_rows(
    names: Sequence[str], targets: Bools, scores: Floats, chosen: Bools
) -> list[LabelRow]:
    """Return one row for each label. chosen: bool [N, C], the labels that are predicted."""
    precision_of = average_precisions(targets, scores)
    intervals, _ = precision_intervals(targets, scores)
    hits = (targets & chosen).sum(0)
    wanted, said = targets.sum(0), chosen.sum(0)
    return [
        LabelRow(
            name,
            int(wanted[label]),
            float(precision_of[label]),
            intervals[label],
            float(hits[label] / said[label]) if said[label] else 0.0,
            float(hits[label] / wanted[label]) if wanted[label] else 0.0,
            float(2 * hits[label] / (wanted[label] + said[label]))
            if wanted[label] + said[label]
            else 0.0,
        )
        for label, name in enumerate(names)
    ]


def _interval(drawn: Floats, targets: Bools, level: float) -> tuple[float, float] | None:
    known = drawn[np.isfinite(drawn)]
    if not len(known) or targets.all() or not targets.any():
        return None
    return percentiles(known, level=level)


def _weighted(targets: Bools, scores: Floats, weights: Floats) -> Floats:
    """Return the average precision of one label, [R], with rows weighted by `weights` [R, N]."""
    order = np.argsort(-scores, kind="stable")
    weighted, present = weights[:, order], targets[order]
    # The last row of each run of equal scores is its threshold.
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    hits = np.cumsum(weighted * present, axis=1)[:, ends]
    said = np.cumsum(weighted, axis=1)[:, ends]
    total = hits[:, -1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(said > 0, hits / said, 0.0)
        steps = np.diff(hits, axis=1, prepend=0.0) / total
        found: Floats = (precision * steps).sum(1)
    return found
