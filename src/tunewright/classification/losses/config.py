"""Settings of classification losses, the metrics measured, and notices. Imports without torch.

`Loss` is the `loss` section of a recipe; every kind has the options of the function of its name in
`classification.losses.losses.LOSSES`, or in `classification.losses.multi_label.LOSSES`, with the
same defaults.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PlainSerializer, PlainValidator

from tunewright.classification.losses.class_weights import (
    check_each_class,
    class_balanced,
    double_correction,
    inverse_power,
)
from tunewright.config.section import Fraction, NotNegative, Positive, Section

METRICS: dict[str, Literal["max", "min"]] = {
    "accuracy": "max",
    "macro_f1": "max",
    "weighted_f1": "max",
    "balanced_accuracy": "max",
    "macro_precision": "max",
    "macro_recall": "max",
    "head_accuracy": "max",
    "tail_accuracy": "max",
    "head_f1": "max",
    "tail_f1": "max",
    "many_accuracy": "max",
    "medium_accuracy": "max",
    "few_accuracy": "max",
    "many_f1": "max",
    "medium_f1": "max",
    "few_f1": "max",
    "ece": "min",
    "loss": "min",
}
"""What `ClassMetrics` computes; groups without a row are left out. `loss` is the plain
cross-entropy of the logits, whatever loss was trained with."""

MULTI_LABEL_METRICS: dict[str, Literal["max", "min"]] = {
    "map": "max",
    "macro_auroc": "max",
    "macro_f1": "max",
    "micro_f1": "max",
    "exact_match": "max",
    "hamming_loss": "min",
    "loss": "min",
}
"""What `MultiLabelMetrics` computes, of pictures that may have several labels. map: the mean of the
labels' average precision. exact_match: the share of pictures with all labels right. hamming_loss:
the share of wrong labels. The F1 scores, and these two, are those at probability 0.5. `loss` is the
plain binary cross-entropy."""

STARVING_GAMMA = 3.0
INERT = {
    "alpha": "one number for all classes only scales the loss, which AdamW cancels; give a list "
    "with one number per class, or loss.alpha=from_counts",
    "modulation_type": "with loss.tau=0 all classes have the same weight",
    "drw_beta": "with loss.drw_fraction=1 class weights are never used",
}
"""Why a setting that `inert_settings` names has no effect."""

Smoothing = Annotated[float, Field(ge=0.0, lt=1.0)]
Beta = Annotated[float, Field(ge=0.0, lt=1.0)]


def _alpha(written: Any) -> float | tuple[float, ...] | Literal["from_counts"] | None:
    if written is None or written == "from_counts":
        return written  # type: ignore[no-any-return]
    if _weight(written):
        return float(written)
    if isinstance(written, list | tuple) and written and all(_weight(w) for w in written):
        return tuple(float(w) for w in written)
    raise ValueError("null, from_counts, a positive number, or a list with one for each class")


def _weight(written: Any) -> bool:
    is_number = isinstance(written, int | float) and not isinstance(written, bool)
    return is_number and 0 < written < float("inf")


def _plain(alpha: Any) -> Any:
    return list(alpha) if isinstance(alpha, tuple) else alpha


Alpha = Annotated[
    float | tuple[float, ...] | Literal["from_counts"] | None,
    PlainValidator(_alpha),
    PlainSerializer(_plain),
]


class CrossEntropyConfig(Section):
    """Plain cross-entropy: every image counts equally.

    label_smoothing: probability of the target that is spread over all classes.
    """

    type: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Smoothing = 0.0


class SmoothModulationConfig(Section):
    """Class weights that go from 1 to n^-tau during training (after Hu et al. 2023).

    tau: 0 for equal weights, 1 for the inverse of the class counts. modulation_type: the way from
    the first weights to the last. label_smoothing: probability of the target that is spread over
    all classes.
    """

    type: Literal["smooth_modulation"] = "smooth_modulation"
    tau: NotNegative = 0.5
    modulation_type: Literal["linear", "cosine", "step"] = "cosine"
    label_smoothing: Smoothing = 0.0


class FocalConfig(Section):
    """Less weight for images that the model is sure of (Lin et al. 2017), in the softmax form.

    gamma: exponent on 1 - probability; 0 is the cross-entropy. alpha: null, a list with a weight
    per class, `from_counts` (1 / n, scaled to mean 1), or one number for all classes, which only
    scales the loss. label_smoothing: probability of the target that is spread over all classes.
    """

    type: Literal["focal"] = "focal"
    gamma: NotNegative = 2.0
    alpha: Alpha = None
    label_smoothing: Smoothing = 0.0


class ClassBalancedConfig(Section):
    """Weights by the effective number of images (Cui et al. 2019).

    beta: 0 for equal weights; towards 1, the inverse of the class counts.
    """

    type: Literal["class_balanced"] = "class_balanced"
    beta: Beta = 0.999


class BalancedSoftmaxConfig(Section):
    """`logit_adjustment` with tau 1 (Ren et al. 2020)."""

    type: Literal["balanced_softmax"] = "balanced_softmax"


class LogitAdjustmentConfig(Section):
    """Logits plus tau ln(share of the class) while training (Menon et al. 2021).

    tau: 0 is the cross-entropy, 1 aims at the balanced accuracy.
    """

    type: Literal["logit_adjustment"] = "logit_adjustment"
    tau: NotNegative = 1.0


class LdamConfig(Section):
    """Larger margins for rarer classes, class weights late in training (Cao et al. 2019).

    max_margin: of the rarest class, as a cosine. scale: factor on the cosines. drw_fraction:
    fraction of the epochs before the weights of `class_balanced` set in; 1 for never. drw_beta:
    their beta.
    """

    type: Literal["ldam"] = "ldam"
    max_margin: Fraction = 0.5
    scale: Positive = 30.0
    drw_fraction: Fraction = 0.8
    drw_beta: Beta = 0.9999


class BinaryCrossEntropyConfig(Section):
    """The binary cross-entropy of each label, where a picture may have several.

    positive_weight: what a present label counts beside an absent one. label_smoothing: how much of
    a yes or no is spread over both.
    """

    type: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    positive_weight: Positive = 1.0
    label_smoothing: Smoothing = 0.0


class AsymmetricConfig(Section):
    """For several labels a picture, of which most are absent (Ridnik et al. 2021).

    gamma_negative: exponent on the probability of absent labels, so that those that the model is
    sure of count less. gamma_positive: exponent on 1 - probability of present labels. margin:
    absent labels below this probability count nothing.
    """

    type: Literal["asymmetric"] = "asymmetric"
    gamma_negative: NotNegative = 4.0
    gamma_positive: NotNegative = 1.0
    margin: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05


LossSection = (
    CrossEntropyConfig
    | SmoothModulationConfig
    | FocalConfig
    | ClassBalancedConfig
    | BalancedSoftmaxConfig
    | LogitAdjustmentConfig
    | LdamConfig
    | BinaryCrossEntropyConfig
    | AsymmetricConfig
)
Loss = Annotated[LossSection, Field(discriminator="type")]
OF_SEVERAL_LABELS = (BinaryCrossEntropyConfig, AsymmetricConfig)
"""The losses of pictures that may have several labels; all others compare classes."""


def classifier_scale(section: LossSection) -> float | None:
    """Return the scale of the cosine classifier that a loss needs; None for a linear one.

    A recipe then calls `cosine_classifier.normalise_classifier` on its model.
    """
    return section.scale if isinstance(section, LdamConfig) else None


def inert_settings(section: LossSection) -> list[str]:
    """Return the keys of a loss section that have no effect, such as `alpha`."""
    if isinstance(section, FocalConfig) and isinstance(section.alpha, float):
        return ["alpha"]
    if isinstance(section, SmoothModulationConfig) and section.tau == 0:
        return ["modulation_type"]
    if isinstance(section, LdamConfig) and section.drw_fraction == 1:
        return ["drw_beta"]
    return []


def check_loss(section: LossSection, classes: int) -> None:
    """Raise ConfigError if a list of class weights has the wrong length."""
    if isinstance(section, FocalConfig) and isinstance(section.alpha, tuple):
        check_each_class(section.alpha, classes)


def final_weights(
    section: LossSection, class_counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the class weights [C], mean 1, at the end of training.

    They equal `ClassLoss.weights` at that time.
    """
    match section:
        case SmoothModulationConfig():
            return inverse_power(class_counts, section.tau)
        case FocalConfig(alpha="from_counts"):
            return inverse_power(class_counts, 1.0)
        case FocalConfig(alpha=tuple(alpha)) if len(alpha) == len(class_counts):
            return np.asarray(np.asarray(alpha) / np.mean(alpha))
        case ClassBalancedConfig():
            return class_balanced(class_counts, section.beta)
        case BalancedSoftmaxConfig():
            return inverse_power(class_counts, 1.0)
        case LogitAdjustmentConfig():
            return inverse_power(class_counts, section.tau)
        case LdamConfig() if section.drw_fraction < 1:
            return class_balanced(class_counts, section.drw_beta)
    return np.ones(len(class_counts))


def loss_notices(
    section: LossSection,
    class_counts: npt.NDArray[np.int64],
    classes: Sequence[str],
    *,
    weighted_sampler: bool,
) -> list[str]:
    """Return notices on settings that have no effect, too much effect, or repeat another one.

    class_counts: [C] training images of each class, named in `classes`.
    """
    said = [
        f"loss.{key}={getattr(section, key)} has no effect: {INERT[key]}"
        for key in inert_settings(section)
    ]
    if isinstance(section, FocalConfig) and section.gamma > STARVING_GAMMA:
        said.append(
            f"loss.gamma={section.gamma:g} leaves little gradient: an image predicted with "
            f"probability 0.7 keeps {0.3**section.gamma:.2g} of its loss; usual values are 1 to 3"
        )
    if weighted_sampler:
        weights = final_weights(section, class_counts)
        said += double_correction(section.type, weights, class_counts, classes)
    return said
