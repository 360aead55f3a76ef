"""What a class counts, from how many training images it has. Imports without torch.

Everywhere n_c, the count of class c, is taken as at least 1, so that an empty class has a weight.
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
"""Classes whose effective weights are told one by one."""
EVEN = 1.01
"""Up to this ratio of the largest to the smallest weight, a loss corrects nothing."""


def check_each_class(alpha: Sequence[float], classes: int) -> None:
    """Raise ConfigError unless `loss.alpha` has a number for each class."""
    if len(alpha) != classes:
        raise ConfigError(
            f"loss.alpha has {len(alpha)} numbers",
            expected=f"{classes}, one for each class in the order of the classes",
            remedy="loss.alpha=from_counts computes them.",
        )


def present_counts(class_counts: Counts) -> Floats:
    """Counts as floats, at least 1."""
    return np.maximum(np.asarray(class_counts), 1).astype(np.float64)


def class_shares(class_counts: Counts) -> Floats:
    """n_c / sum n: the prior of each class in the training set."""
    counts = present_counts(class_counts)
    return np.asarray(counts / counts.sum())


def inverse_power(class_counts: Counts, tau: float) -> Floats:
    """n_c^-tau, scaled to mean 1."""
    counts = present_counts(class_counts)  # relative to the least: n^-tau alone may vanish
    return _mean_one((counts / counts.min()) ** -tau)


def modulate(class_counts: Counts, tau: float, modulation_type: Modulation, t: float) -> Floats:
    """(1 - m) / C + m n_c^-tau / sum n^-tau, scaled to mean 1; t in 0 to 1 is time, m follows it.

    m = t (linear), (1 - cos pi t) / 2 (cosine), or 1 from the middle on (step).
    After Hu et al. 2023, Frontiers of Computer Science (SMNN-MSFF).
    """
    m = {
        "linear": t,
        "cosine": (1 - float(np.cos(np.pi * t))) / 2,
        "step": float(t >= 0.5),
    }[modulation_type]
    return (1 - m) + m * inverse_power(class_counts, tau)


def class_balanced(class_counts: Counts, beta: float) -> Floats:
    """(1 - beta) / (1 - beta^n_c), scaled to mean 1. Source: Cui et al., CVPR 2019."""
    with np.errstate(divide="ignore"):  # beta 0: ln 0, from which every weight becomes 1
        exponents = present_counts(class_counts) * np.log(beta)
    return _mean_one(-1 / np.expm1(exponents))  # expm1: for beta near 1


def margins(class_counts: Counts, max_margin: float) -> Floats:
    """n_c^-1/4, scaled so that the largest is `max_margin`. Source: Cao et al. 2019, section 3."""
    counts = present_counts(class_counts)
    return np.asarray(max_margin * (counts / counts.min()) ** -0.25)


def sampled_weights(weights: Floats, class_counts: Counts) -> Floats:
    """What an image of each class counts in an epoch of the weighted sampler, scaled to mean 1.

    weights: [C] of the loss. The sampler draws every class equally often, and with that an image
    of class c in proportion to 1 / n_c; a class as a whole then counts w_c instead of n_c w_c.
    A class without images counts 0 and has no say in the mean.
    """
    counts = np.asarray(class_counts)
    present = counts > 0
    effective = np.where(present, weights / np.maximum(counts, 1), 0.0)
    mean = effective[present].mean() if present.any() else 1.0
    return np.asarray(effective / mean)


def double_correction(
    loss: str, weights: Floats, class_counts: Counts, classes: Sequence[str]
) -> list[str]:
    """One sentence where a weighted sampler and these weights of `loss` both favour rare classes.

    Empty where the weights of the classes that have images are all the same.
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
        f"often, and in the end loss.type={loss} weighs them on top of that; class "
        f"{classes[most]!r} counts {_times(ratio)} as much as {classes[least]!r}, and one image "
        f"of it {_times(images)} as much as one of {classes[least]!r} "
        f"({counts[most]} and {counts[least]} images). What one image counts, where the mean over "
        f"classes is 1: {listed}{', ...' if len(rows) > LISTED else ''}. Leave one of the two out "
        "if that is not what you want"
    ]


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.2g} times"


def _mean_one(weights: Floats) -> Floats:
    return np.asarray(weights / weights.mean())
