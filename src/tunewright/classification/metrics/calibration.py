"""Calibration: how well confidence matches accuracy, and the temperature that improves it.

A temperature divides the logits; it changes confidences and never predictions. Everything is
computed in float64 on the CPU.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tunewright.errors import DataError

BINS = 15
COLDEST, HOTTEST = 1e-3, 1e3
STEPS = 100
NEAR_BOUND = 1.01
"""Factor within which a temperature has reached a bound of the search."""


@dataclass(frozen=True)
class Bin:
    """Rows with a confidence in (low, high], the first bin closed; a bar of the diagram.

    confidence, accuracy: their means, None for a bin without rows.
    """

    low: float
    high: float
    rows: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """Calibration before and after dividing logits by `temperature`, on the same rows.

    If the temperature was fitted on these rows, `after` is optimistic.
    """

    temperature: float
    ece_before: float
    ece_after: float
    nll_before: float
    nll_after: float
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]


def calibrate(logits: Tensor, labels: Tensor, *, at: float | None = None) -> Calibration:
    """Measure what a temperature changes: the fitted one, or `at`, fitted on other rows.

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
    """Find the temperature T with the least mean NLL of logits / T: [N, C], [N] int64 -> scalar.

    Between 0.001 and 1,000. If no row is wrong, the NLL falls without limit as T does, which says
    nothing about the right confidence, so the result is 1. Raises DataError for no rows and for
    logits that are not finite. Source: Guo et al., ICML 2017, section 4.2.
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
    # In b = 1 / T the mean NLL is convex: Newton steps, and a bisection if one leaves the
    # bracket. Its slope is E_p[x] - x_y, its curvature Var_p[x]. For logits (0, -1) at b = 1,
    # p = (.73, .27): E_p[x] = -.27, Var_p[x] = .20.
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


def calibration_notes(calibration: Mapping[str, Any], *, of: str = "") -> list[str]:
    """Return notes on a calibration as evaluations store it; `of`: what was calibrated."""
    called = f"calibration error of {of}" if of else "calibration error"
    note = (
        f"{called} {calibration['before']['ece']:.3f}, {calibration['after']['ece']:.3f} at "
        f"temperature {calibration['temperature']:.2f} (fitted on {calibration['fitted_on']})"
    )
    reached = bound_note(calibration["temperature"])
    return [note, reached] if reached else [note]


def bound_note(temperature: float) -> str:
    """Return what a temperature at a bound of the search says; empty for one in between."""
    if temperature <= COLDEST * NEAR_BOUND:
        bound, why = COLDEST, "nearly every row is right, so no confidence is too high"
    elif temperature >= HOTTEST / NEAR_BOUND:
        bound, why = HOTTEST, "the logits say nothing about the labels"
    else:
        return ""
    return f"the temperature reached its bound of {bound:g}: on the rows it was fitted on {why}"


def scale_logits(logits: Tensor, temperature: float) -> Tensor:
    """Return logits / T [N, C] in float64 on the CPU, which keeps the order of float32 logits."""
    return logits.detach().cpu().double() / temperature


def ece(logits: Tensor, labels: Tensor, *, bins: int = BINS) -> float:
    """Return the expected calibration error: mean |confidence - accuracy|, weighted by rows.

    logits: [N, C], labels: [N] int64. Bins are equally wide, (low, high], the first one closed.
    Biased upwards for few rows. Source: Guo et al., ICML 2017, section 2.
    """
    return ece_of_bins(reliability(logits, labels, bins=bins))


def ece_of_bins(diagram: tuple[Bin, ...]) -> float:
    """Return the expected calibration error of a reliability diagram."""
    gaps = [
        bar.rows * abs(bar.accuracy - bar.confidence)
        for bar in diagram
        if bar.accuracy is not None and bar.confidence is not None
    ]
    return sum(gaps) / max(sum(bar.rows for bar in diagram), 1)


def reliability(logits: Tensor, labels: Tensor, *, bins: int = BINS) -> tuple[Bin, ...]:
    """Return mean confidence and accuracy of the rows in each bin of confidence, from 0 to 1."""
    confidence, predictions = logits.detach().cpu().double().softmax(1).max(1)
    return reliability_of(confidence, predictions == labels.cpu(), bins=bins)


def reliability_of(confidence: Tensor, right: Tensor, *, bins: int = BINS) -> tuple[Bin, ...]:
    """Return `reliability` from each prediction's confidence [N] and correctness [N]."""
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
