"""Classification losses: logits [B, C] and labels [B] -> one loss per row [B].

The caller takes the mean over B, not over the sum of weights, so that a batch of rare images counts
more than one of frequent images, as the weights intend. Low-precision logits are converted to
float32. Losses learn nothing and store nothing in the state dict: everything follows from the
counts, the options and the epoch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tunewright.classification.losses import class_weights as formulas
from tunewright.classification.losses.class_weights import Counts, Floats
from tunewright.registry import Registry
from tunewright.training.precision import at_least_float32

Schedule = Callable[[Counts, float], Floats]


class ClassLoss(nn.Module, ABC):
    """A loss for labels in 0 .. C-1, which may depend on the epoch.

    class_counts: [C] training images of each class, 0 taken as 1. Buffers have its dtype if that is
    a float, else the default one, and are on its device. schedule: class weights [C] from the
    counts and the fraction of the training that is done, in [0, 1).
    """

    now: Tensor

    def __init__(self, class_counts: Tensor, schedule: Schedule) -> None:
        super().__init__()
        self._counts, self._schedule = _numbers(class_counts), schedule
        self._keep("now", class_counts, schedule(self._counts, 0.0))

    @abstractmethod
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each row: [B, C], [B] int64 -> [B], at least float32."""

    def at(self, epoch: int, epochs: int) -> None:
        """Set the epoch, counted from 0, of `epochs`; independent of earlier calls."""
        weights = self._schedule(self._counts, epoch / max(epochs, 1))
        # In place: a compiled or captured step keeps reading the same memory.
        self.now.copy_(torch.as_tensor(weights, dtype=self.now.dtype))

    def weights(self) -> Tensor:
        """Return the current effective class weights [C], with mean 1.

        For `logit_adjustment` and `balanced_softmax` they are those of the weighted cross-entropy
        with the same minimiser, n^-tau; for `ldam` they do not include its margins.
        """
        return self.now.clone()

    def _keep(self, name: str, class_counts: Tensor, values: Floats) -> None:
        floats = class_counts.is_floating_point()
        dtype = class_counts.dtype if floats else torch.get_default_dtype()
        values_there = torch.as_tensor(values, dtype=dtype, device=class_counts.device)
        self.register_buffer(name, values_there, persistent=False)


LOSSES: Registry[Callable[..., ClassLoss]] = Registry("loss")


@LOSSES
def cross_entropy(class_counts: Tensor, /, *, label_smoothing: float = 0.0) -> ClassLoss:
    """Make cross-entropy with targets (1 - e) onehot + e / C (Szegedy et al., CVPR 2016)."""
    return WeightedLoss(class_counts, _uniform, label_smoothing=label_smoothing)


@LOSSES
def smooth_modulation(
    class_counts: Tensor,
    /,
    *,
    tau: float = 0.5,
    modulation_type: Literal["linear", "cosine", "step"] = "cosine",
    label_smoothing: float = 0.0,
) -> ClassLoss:
    """Make cross-entropy with weights from uniform to n^-tau, by `class_weights.modulate`.

    Time is epoch / epochs, so the last epoch is at (E - 1) / E and does not quite reach n^-tau.
    """

    def weights(counts: Counts, time: float) -> Floats:
        return formulas.modulate(counts, tau, modulation_type, min(time, 1.0))

    return WeightedLoss(class_counts, weights, label_smoothing=label_smoothing)


@LOSSES
def focal(
    class_counts: Tensor,
    /,
    *,
    gamma: float = 2.0,
    alpha: float | tuple[float, ...] | Literal["from_counts"] | None = None,
    label_smoothing: float = 0.0,
) -> ClassLoss:
    """Make alpha_y (1 - p_t)^gamma CE, with p_t from the plain softmax (Lin et al., ICCV 2017).

    alpha: None is 1; one number only scales the loss; a tuple has one for each class; `from_counts`
    is 1 / n scaled to mean 1. label_smoothing smooths the target of CE only: p_t stays the
    probability of the label. With gamma 2 and p_t 0.9 a row counts (1 - 0.9)^2 = 0.01. Raises
    ConfigError if `alpha` has another length.
    """
    return FocalLoss(class_counts, gamma=gamma, alpha=alpha, label_smoothing=label_smoothing)


@LOSSES
def class_balanced(class_counts: Tensor, /, *, beta: float = 0.999) -> ClassLoss:
    """Make cross-entropy weighted by (1 - beta) / (1 - beta^n) (Cui et al., CVPR 2019)."""
    return WeightedLoss(class_counts, lambda counts, _time: formulas.class_balanced(counts, beta))


@LOSSES
def balanced_softmax(class_counts: Tensor, /) -> ClassLoss:
    """Make logit adjustment with tau 1 (Ren et al., NeurIPS 2020)."""
    return AdjustedLoss(class_counts, tau=1.0)


@LOSSES
def logit_adjustment(class_counts: Tensor, /, *, tau: float = 1.0) -> ClassLoss:
    """Make CE(x + tau ln pi), pi the training class shares (Menon et al., ICLR 2021)."""
    return AdjustedLoss(class_counts, tau=tau)


@LOSSES
def ldam(
    class_counts: Tensor,
    /,
    *,
    max_margin: float = 0.5,
    scale: float = 30.0,
    drw_fraction: float = 0.8,
    drw_beta: float = 0.9999,
) -> ClassLoss:
    """Make CE(s (cos - margin_y)), then class-balanced weights (LDAM-DRW).

    Logits are s cos already, from `cosine_classifier.NormalisedLinear` with the same `scale`, so
    predictions and calibration use them like any others. With a linear classifier logits are
    unbounded, and margins of up to `scale * max_margin` lose their effect as they grow. From
    `drw_fraction` of the epochs on, the weights of `class_balanced` with `drw_beta` apply. Source:
    Cao et al., NeurIPS 2019.
    """
    return LdamLoss(
        class_counts,
        max_margin=max_margin,
        scale=scale,
        drw_fraction=drw_fraction,
        drw_beta=drw_beta,
    )


class WeightedLoss(ClassLoss):
    """Cross-entropy weighted by the schedule: w_y CE."""

    def __init__(
        self, class_counts: Tensor, schedule: Schedule, *, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(class_counts, schedule)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each row: [B, C], [B] int64 -> [B], at least float32."""
        rows = F.cross_entropy(
            at_least_float32(logits), labels, reduction="none", label_smoothing=self.label_smoothing
        )
        return self.now.to(rows.dtype)[labels] * rows


class FocalLoss(ClassLoss):
    """alpha_y (1 - p_t)^gamma CE of smoothed targets."""

    alpha: Tensor

    def __init__(
        self,
        class_counts: Tensor,
        *,
        gamma: float,
        alpha: float | tuple[float, ...] | Literal["from_counts"] | None,
        label_smoothing: float,
    ) -> None:
        each = _class_alpha(alpha, _numbers(class_counts))
        super().__init__(class_counts, lambda _counts, _time: each / each.mean())
        self._keep("alpha", class_counts, each)
        self.gamma, self.label_smoothing = gamma, label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each row: [B, C], [B] int64 -> [B], at least float32."""
        log_p = at_least_float32(logits).log_softmax(1)
        log_p_t = log_p.gather(1, labels[:, None]).squeeze(1)
        rows = -(1 - self.label_smoothing) * log_p_t - self.label_smoothing * log_p.mean(1)
        # 1 - p_t = -expm1(log p_t), without cancellation: for p_t = 1 - 1e-8 in float32 it is 1e-8,
        # not 0. The clamp keeps the slope of powers below 1 finite at 0.
        doubt = (-torch.expm1(log_p_t)).clamp(min=torch.finfo(log_p.dtype).tiny)
        return self.alpha.to(rows.dtype)[labels] * doubt**self.gamma * rows


class AdjustedLoss(ClassLoss):
    """Cross-entropy of logits plus tau times the log of the class shares."""

    shift: Tensor

    def __init__(self, class_counts: Tensor, *, tau: float) -> None:
        super().__init__(class_counts, lambda counts, _time: formulas.inverse_power(counts, tau))
        prior = np.log(formulas.class_shares(_numbers(class_counts)))
        self._keep("shift", class_counts, tau * prior)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each row: [B, C], [B] int64 -> [B], at least float32."""
        wide = at_least_float32(logits)
        return F.cross_entropy(wide + self.shift.to(wide.dtype), labels, reduction="none")


class LdamLoss(ClassLoss):
    """Weighted cross-entropy of logits, minus the label's margin in units of the scale."""

    margins: Tensor

    def __init__(
        self,
        class_counts: Tensor,
        *,
        max_margin: float,
        scale: float,
        drw_fraction: float,
        drw_beta: float,
    ) -> None:
        def defer(counts: Counts, time: float) -> Floats:
            late = drw_fraction < 1 and time >= drw_fraction
            return formulas.class_balanced(counts, drw_beta) if late else _uniform(counts, time)

        super().__init__(class_counts, defer)
        self._keep("margins", class_counts, formulas.margins(_numbers(class_counts), max_margin))
        self.scale = scale

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each row: [B, C], [B] int64 -> [B], at least float32."""
        wide = at_least_float32(logits)
        taken = (self.scale * self.margins).to(wide.dtype)[labels]
        handicapped = wide.scatter_add(1, labels[:, None], -taken[:, None])
        rows = F.cross_entropy(handicapped, labels, reduction="none")
        return self.now.to(wide.dtype)[labels] * rows


def _class_alpha(
    alpha: float | tuple[float, ...] | Literal["from_counts"] | None, counts: Counts
) -> Floats:
    """Return alpha per class [C], not rescaled if the user gave numbers."""
    if alpha == "from_counts":
        return formulas.inverse_power(counts, 1.0)
    if isinstance(alpha, tuple):
        formulas.check_each_class(alpha, len(counts))
    return np.asarray(np.ones(len(counts)) * (1.0 if alpha is None else np.asarray(alpha)))


def _uniform(counts: Counts, _time: float) -> Floats:
    return np.ones(len(counts))


def _numbers(class_counts: Tensor) -> Counts:
    counts: Counts = class_counts.detach().cpu().numpy()
    return counts
