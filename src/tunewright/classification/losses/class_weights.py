"""Class weights from the number of training images of each class. Imports without torch.

n_c, the count of class c, is always taken as at least 1, so that an empty class has a weight.
Arrays are float64 [C]; weights have mean 1, so that they do not change the learning rate.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from tunewright.errors import ConfigError

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Modulation = Literal["linear", "cosine", "step"]

LISTED = 12
"""Number of classes whose effective weights are listed."""
EVEN = 1.01
"""Largest ratio of two class weights at which a loss counts as uncorrected."""


def check_each_class(alpha: Sequence[float], classes: int) -> None:
    """Raise ConfigError unless `loss.alpha` has a number for each class."""
    if len(alpha) != classes:
        raise ConfigError(
            f"loss.alpha has {len(alpha)} numbers",
            expected=f"{classes}, one for each class in the order of the classes",
            remedy="loss.alpha=from_counts computes them.",
        )


def present_counts(class_counts: Counts) -> Floats:
    """Return counts as floats, at least 1."""
    return np.maximum(np.asarray(class_counts), 1).astype(np.float64)


def class_shares(class_counts: Counts) -> Floats:
    """Return n_c / sum n: the prior of each class in the training set."""
    counts = present_counts(class_counts)
    return np.asarray(counts / counts.sum())


def inverse_power(class_counts: Counts, tau: float) -> Floats:
    """Return n_c^-tau, scaled to mean 1: counts 4 and 1 with tau 0.5 give 2/3 and 4/3."""
    counts = present_counts(class_counts)  # relative to the smallest: n^-tau may underflow
    return _mean_one((counts / counts.min()) ** -tau)


def modulate(class_counts: Counts, tau: float, modulation_type: Modulation, t: float) -> Floats:
    """Interpolate from uniform weights to n^-tau at time t in 0 to 1, scaled to mean 1.

    That is (1 - m) / C + m n_c^-tau / sum n^-tau, where m = t (linear), (1 - cos pi t) / 2
    (cosine), or 1 for t >= 0.5 (step). After Hu et al. 2023, Frontiers of Computer Science
    (SMNN-MSFF).
    """
    m = {
        "linear": t,
        "cosine": (1 - float(np.cos(np.pi * t))) / 2,
        "step": float(t >= 0.5),
    }[modulation_type]
    return (1 - m) + m * inverse_power(class_counts, tau)


def class_balanced(class_counts: Counts, beta: float) -> Floats:
    """Return (1 - beta) / (1 - beta^n_c), scaled to mean 1. Source: Cui et al., CVPR 2019."""
    with np.errstate(divide="ignore"):  # beta 0: ln 0 gives weights of 1
        exponents = present_counts(class_counts) * np.log(beta)
    return _mean_one(-1 / np.expm1(exponents))  # expm1: for beta near 1


def margins(class_counts: Counts, max_margin: float) -> Floats:
    """Return n_c^-1/4, scaled so that the largest is `max_margin`.

    Source: Cao et al. 2019, section 3.
    """
    counts = present_counts(class_counts)
    return np.asarray(max_margin * (counts / counts.min()) ** -0.25)


def sampled_weights(weights: Floats, class_counts: Counts) -> Floats:
    """Return how much an image of each class counts under the weighted sampler, scaled to mean 1.

    weights: [C] of the loss. The sampler draws every class equally often, so an image of class c in
    proportion to 1 / n_c; the whole class then counts w_c instead of n_c w_c. A class without
    images counts 0 and is left out of the mean.
    """
    counts = np.asarray(class_counts)
    present = counts > 0
    effective = np.where(present, weights / np.maximum(counts, 1), 0.0)
    mean = effective[present].mean() if present.any() else 1.0
    return np.asarray(effective / mean)


def double_correction(
    loss: str, weights: Floats, class_counts: Counts, classes: Sequence[str]
) -> list[str]:
    """Return a notice if a weighted sampler and these weights of `loss` both favour rare classes.

    Empty if all classes with images have the same weight.
    """
    counts = np.asarray(class_counts)
    rows = np.flatnonzero(counts)
    if len(rows) < 2 or weights[rows].max() <= EVEN * weights[rows].min():
        return []
    most, least = rows[np.argmax(weights[rows])], rows[np.argmin(weights[rows])]
    ratio = weights[most] / weights[least]
    effective = sampled_weights(weights, class_counts)
    images = effective[most] / effective[least]
    listed = ", ".join(f"{classes[row]} {effective[row]:.2g}" for row in rows[:LISTED])
    return [
        f"imbalance is corrected twice: the weighted sampler already draws all classes equally "
        f"often, and loss.type={loss} also weights them at the end of training; class "
        f"{classes[most]!r} counts {_times(ratio)} as much as {classes[least]!r}, and one image "
        f"of it {_times(images)} as much as one of {classes[least]!r} "
        f"({counts[most]} and {counts[least]} images). Weight of one image, where the mean over "
        f"classes is 1: {listed}{', ...' if len(rows) > LISTED else ''}. Remove one of the two "
        "if this is not intended"
    ]


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.2g} times"


def _mean_one(weights: Floats) -> Floats:
    return np.asarray(weights / weights.mean())
