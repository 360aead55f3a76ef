"""Scores of several labels a picture, and their intervals.

targets: bool [N, C]; scores: floats [N, C], higher for labels that are likelier; chosen: bool
[N, C], the labels that are predicted. Imports without torch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.analysis.score_intervals import LEVEL, RESAMPLES, has_no_width, percentiles
from tunewright.classification.metrics.intervals import Difference

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.floating[Any]]
CELLS_AT_ONCE = 4_000_000
"""Most drawn weights in memory."""
WORK, FEWEST = 200_000_000, 200
"""Draws times pictures times labels that a bootstrap may take, and the draws that it takes at
least."""


@dataclass(frozen=True)
class LabelRow:
    """One label. pictures: with it; said: pictures for which it was predicted.

    average_precision, auroc: None where no picture, or for the second every picture, has it.
    interval: of the average precision, 95 %.
    """

    name: str
    pictures: int
    said: int
    average_precision: float | None
    interval: tuple[float, float] | None
    auroc: float | None
    precision: float
    recall: float
    f1: float


def average_precisions(targets: Bools, scores: Floats) -> Floats:
    """Return the average precision of each label, [C]; NaN for one that no picture has.

    The sum over thresholds of precision times the step in recall, without interpolation; equal
    scores are one threshold. As `sklearn.metrics.average_precision_score`.
    """
    return np.asarray(_of_labels(targets, scores, np.ones((1, len(targets))))[0][0])


def aurocs(targets: Bools, scores: Floats) -> Floats:
    """Return the area under each label's ROC curve, [C]; NaN where all pictures are alike."""
    return np.asarray(_of_labels(targets, scores, np.ones((1, len(targets))))[1][0])


def label_scores(targets: Bools, scores: Floats, chosen: Bools) -> dict[str, float]:
    """Return all of `MULTI_LABEL_METRICS` but `loss`.

    Labels without a picture are left out of `map`, `macro_auroc` and `macro_f1`; scores of which
    nothing is left are left out.
    """
    found = _all_scores(targets, scores, chosen, np.ones((1, len(targets))))
    return {name: float(value) for name, [value] in found.items() if value == value}


def bootstrap_label_scores(
    targets: Bools, scores: Floats, chosen: Bools, *, level: float = LEVEL, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return percentile intervals of all scores of `label_scores`.

    Pictures are drawn with replacement, the same for all labels. Draws without a picture of a label
    leave it out of their means. Scores without spread have no interval. Source: Efron and
    Tibshirani 1993, section 13.3.
    """
    found = _bootstrap(
        targets.shape, lambda drawn: _all_scores(targets, scores, chosen, drawn), seed
    )
    intervals = {}
    for name, values in found.items():
        known = values[np.isfinite(values)]
        if len(known) and not has_no_width(ends := percentiles(known, level=level)):
            intervals[name] = ends
    return intervals


def map_difference(
    targets: Bools, scores: Floats, others: Floats, *, level: float = LEVEL, seed: int = 0
) -> Difference:
    """Return how much higher the mean average precision is with `scores` than with `others`.

    Both are resampled together: pictures that are hard for one model are mostly hard for the other.
    """

    def gain(drawn: Weights) -> dict[str, Floats]:
        mine, theirs = (_mean(_of_labels(targets, each, drawn)[0]) for each in (scores, others))
        return {"map": mine - theirs}

    [value] = gain(np.ones((1, len(targets))))["map"]
    values = _bootstrap(targets.shape, gain, seed)["map"]
    known = values[np.isfinite(values)]
    return Difference(float(value), *percentiles(known if len(known) else values, level=level))


def label_rows(
    names: Sequence[str], targets: Bools, scores: Floats, chosen: Bools
) -> list[LabelRow]:
    """Return one row for each label."""
    precision_of, auroc_of = average_precisions(targets, scores), aurocs(targets, scores)
    drawn = _bootstrap(
        targets.shape, lambda w: {"each": _of_labels(targets, scores, w)[0]}, seed=0
    )["each"]
    hits, wanted, said = (targets & chosen).sum(0), targets.sum(0), chosen.sum(0)
    return [
        LabelRow(
            name,
            int(wanted[at]),
            int(said[at]),
            _or_none(precision_of[at]),
            _interval(drawn[:, at], targets[:, at]),
            _or_none(auroc_of[at]),
            float(hits[at] / max(1, said[at])),
            float(hits[at] / max(1, wanted[at])),
            float(2 * hits[at] / max(1, wanted[at] + said[at])),
        )
        for at, name in enumerate(names)
    ]


def _interval(drawn: Floats, targets: Bools) -> tuple[float, float] | None:
    known = drawn[np.isfinite(drawn)]
    if not len(known) or targets.all() or not targets.any():
        return None
    return percentiles(known)


def _or_none(value: float) -> float | None:
    return float(value) if value == value else None


def _bootstrap(
    shape: tuple[int, ...], measure: Callable[[Weights], Mapping[str, Floats]], seed: int
) -> dict[str, Floats]:
    """Return what `measure` returns for drawn weights [R, N], all draws together."""
    rows = shape[0]
    draws = int(np.clip(WORK // max(1, rows * shape[1]), FEWEST, RESAMPLES))
    parts = [measure(drawn) for drawn in _draws(rows, draws, seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _draws(rows: int, draws: int, seed: int) -> Iterator[Weights]:
    """Yield how often each row occurs in samples with replacement, [draws, N], some at a time."""
    generator = np.random.default_rng(seed)
    step = max(1, CELLS_AT_ONCE // max(1, rows))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        drawn = generator.multinomial(rows, np.full(rows, 1.0 / rows), size=size)
        yield drawn.astype(np.float32)  # small whole numbers, exact


def _all_scores(
    targets: Bools, scores: Floats, chosen: Bools, weights: Weights
) -> dict[str, Floats]:
    """Return each score, [R], with rows weighted by `weights` [R, N]."""
    precision, auroc = _of_labels(targets, scores, weights)
    hits, wanted, said = (  # [R, C]
        (weights @ each.astype(weights.dtype)).astype(np.float64)
        for each in (targets & chosen, targets, chosen)
    )
    rows = weights.sum(1, dtype=np.float64)
    both = wanted + said
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = np.where(wanted > 0, 2 * hits / both, np.nan)
        micro = 2 * hits.sum(1) / both.sum(1)
    wrong = targets != chosen
    return {
        "map": _mean(precision),
        "macro_auroc": _mean(auroc),
        "macro_f1": _mean(f1),
        "micro_f1": micro,
        "exact_match": weights @ ~wrong.any(1) / rows,
        "hamming_loss": weights @ wrong.mean(1) / rows,
    }


def _mean(of_labels: Floats) -> Floats:
    """Return the mean over labels [R, C] -> [R], without those that are NaN; NaN if all are."""
    known = np.isfinite(of_labels)
    sums = np.where(known, of_labels, 0.0).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = sums / known.sum(1)
    return found


def _of_labels(targets: Bools, scores: Floats, weights: Weights) -> tuple[Floats, Floats]:
    """Return average precision and AUROC of each label, [R, C] each, rows weighted by [R, N]."""
    pairs = zip(targets.T, scores.T, strict=True)
    each = [_of_label(target, score, weights) for target, score in pairs]
    precision, auroc = (np.stack(columns, axis=1) for columns in zip(*each, strict=True))
    return precision, auroc


def _of_label(targets: Bools, scores: Floats, weights: Weights) -> tuple[Floats, Floats]:
    """Return average precision and AUROC of one label, [R] each; NaN where they have no meaning.

    Both are sums over the runs of equal scores that hold a picture with the label, so that all but
    one running sum is as short as these are few.
    """
    order = np.argsort(-scores, kind="stable")
    with_label = np.flatnonzero(targets[order])
    if not len(with_label):
        return (np.full(len(weights), np.nan),) * 2
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    runs, first = np.unique(np.searchsorted(ends, with_label), return_index=True)
    drawn = weights[:, order]
    said = np.cumsum(drawn, axis=1, dtype=np.float64)
    steps = np.add.reduceat(drawn[:, with_label].astype(np.float64), first, axis=1)
    hits = np.cumsum(steps, axis=1)
    until = said[:, ends[runs]]
    before = np.where(runs > 0, said[:, ends[runs - 1]], 0.0)
    present = hits[:, -1]
    absent = said[:, -1] - present
    # Without the label: in the run itself, which counts one half, and below it.
    tied = (until - before) - steps
    below = absent[:, None] - (until - hits)
    with np.errstate(divide="ignore", invalid="ignore"):
        average: Floats = np.where(until > 0, steps * hits / until, 0.0).sum(1) / present
        auroc: Floats = (steps * (below + tied / 2)).sum(1) / (present * absent)
    return average, auroc
