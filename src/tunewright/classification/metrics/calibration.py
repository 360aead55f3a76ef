"""Whether a model is right as often as it believes, and the temperature that makes it so.

A temperature divides the logits; it moves how sure a model is and never what it predicts.
Everything is computed in float64 on the CPU.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tunewright.errors import DataError

BINS = 15
COLDEST, HOTTEST = 1e-3, 1e3
STEPS = 100


@dataclass(frozen=True)
class Bin:
    """Rows whose confidence is in (low, high], the first bin closed; a bar of the diagram.

    confidence, accuracy: their means, None for a bin without rows.
    """

    low: float
    high: float
    rows: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """Before and after dividing logits by `temperature`, on the same rows.

    Where the temperature was fitted on these rows, `after` is better than on new ones.
    """

    temperature: float
    ece_before: float
    ece_after: float
    nll_before: float
    nll_after: float
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]


def calibrate(logits: Tensor, labels: Tensor, *, at: float | None = None) -> Calibration:
    """What a temperature changes: the fitted one, or `at`, which was fitted on other rows.

    logits: [N, C], labels: [N] int64. Raises DataError as `temperature` does.
    """
    found = temperature(logits, labels) if at is None else at
    after = scale_logits(logits, found)
    return Calibration(
        temperature=found,
        ece_before=ece(logits, labels),
        ece_after=ece(after, labels),
        nll_before=_nll(scale_logits(logits, 1.0), labels.cpu()),
        nll_after=_nll(after, labels.cpu()),
        before=reliability(logits, labels),
        after=reliability(after, labels),
    )


def temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature T with the least mean NLL of logits / T: [N, C], [N] int64 -> scalar.

    Between 0.001 and 1,000. Where no row is wrong the NLL falls for ever as T does; that says
    nothing of how sure the model should be, so the answer is then 1. Raises DataError for no rows
    and for logits that are not finite. Source: Guo et al., ICML 2017, section 4.2.
    """
    wide = scale_logits(logits, 1.0)
    labels = labels.cpu()
    if not len(wide) or not bool(wide.isfinite().all()):
        raise DataError(
            "logits that are not finite" if len(wide) else "no rows",
            expected="finite logits of at least one labelled row",
        )
    x = wide - wide.amax(1, keepdim=True)
    target = x.gather(1, labels[:, None]).squeeze(1).mean()
    if target == 0:  # the label of every row has the largest logit
        return 1.0
    # In b = 1 / T the mean NLL is convex: Newton steps, and a bisection where one leaves the
    # bracket. Its slope is E_p[x] - x_y, its curvature Var_p[x].
    low, high, b = 1 / HOTTEST, 1 / COLDEST, 1.0
    for _ in range(STEPS):
        p = (b * x).softmax(1)
        mean = (p * x).sum(1, keepdim=True)
        slope = (mean.mean() - target).item()
        curvature = (p * (x - mean) ** 2).sum(1).mean().item()
        low, high = (b, high) if slope < 0 else (low, b)
        step = b - slope / curvature if curvature > 0 else math.inf
        following = step if low < step < high else math.sqrt(low * high)
        if abs(following - b) <= 1e-12 * b:
            break
        b = following
    return 1 / following


def scale_logits(logits: Tensor, temperature: float) -> Tensor:
    """Logits / T [N, C] in float64 on the CPU, where the order of float32 logits survives."""
    return logits.detach().cpu().double() / temperature


def ece(logits: Tensor, labels: Tensor, *, bins: int = BINS) -> float:
    """Expected calibration error: the mean gap of confidence and accuracy, weighted by rows.

    logits: [N, C], labels: [N] int64. Bins are equally wide, (low, high], the first one closed.
    Source: Guo et al., ICML 2017, section 2. Biased upwards for few rows.
    """
    return ece_of_bins(reliability(logits, labels, bins=bins))


def ece_of_bins(diagram: tuple[Bin, ...]) -> float:
    """The calibration error that a reliability diagram shows."""
    gaps = [
        bar.rows * abs(bar.accuracy - bar.confidence)
        for bar in diagram
        if bar.accuracy is not None and bar.confidence is not None
    ]
    return sum(gaps) / max(sum(bar.rows for bar in diagram), 1)


def reliability(logits: Tensor, labels: Tensor, *, bins: int = BINS) -> tuple[Bin, ...]:
    """Mean confidence and accuracy of the rows in each bin of confidence, from 0 to 1."""
    confidence, predictions = logits.detach().cpu().double().softmax(1).max(1)
    return reliability_of(confidence, predictions == labels.cpu(), bins=bins)


def reliability_of(confidence: Tensor, right: Tensor, *, bins: int = BINS) -> tuple[Bin, ...]:
    """`reliability` from the confidence [N] of each prediction, and whether it was right [N]."""
    confidence, right = confidence.cpu().double(), right.cpu().double()
    edges = torch.arange(bins + 1, dtype=torch.float64) / bins
    index = torch.bucketize(confidence, edges[1:-1])  # (low, high]: an edge is in the lower bin
    rows = torch.bincount(index, minlength=bins)
    sums = (torch.bincount(index, values, minlength=bins) for values in (confidence, right))
    means = [(total / rows.clamp(min=1)).tolist() for total in sums]
    return tuple(
        Bin(low, high, number, *((surely, truly) if number else (None, None)))
        for low, high, number, surely, truly in zip(
            edges[:-1].tolist(), edges[1:].tolist(), rows.tolist(), *means, strict=True
        )
    )


def _nll(logits: Tensor, labels: Tensor) -> float:
    return torch.nn.functional.cross_entropy(logits, labels).item()
