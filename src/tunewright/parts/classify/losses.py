"""Classification losses: logits [B, C] and labels [B] -> one loss a row [B].

The caller takes the mean over B, never over the sum of weights: a batch of rare images then
counts more than one of frequent images, which is what the weights are for. Logits of low
precision are computed with in float32.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from tunewright.registry import Registry


class ClassLoss(nn.Module, ABC):
    """A loss for labels in 0 .. C-1, which may follow the epoch."""

    @abstractmethod
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each row: [B, C], [B] int64 -> [B], at least float32."""

    def at(self, epoch: int, epochs: int) -> None:
        """Go to an epoch, counted from 0, of `epochs`; depends on nothing that was before."""

    @abstractmethod
    def weights(self) -> Tensor:
        """The effective class weights [C] of now, with mean 1."""


LOSSES: Registry[Callable[..., ClassLoss]] = Registry("loss")


@LOSSES
def cross_entropy(class_counts: Tensor, /, *, label_smoothing: float = 0.0) -> ClassLoss:
    """Cross-entropy with the target (1 - e) onehot + e / C (Szegedy et al., CVPR 2016)."""
    raise NotImplementedError


@LOSSES
def smooth_modulation(
    class_counts: Tensor,
    /,
    *,
    tau: float = 0.5,
    modulation_type: Literal["linear", "cosine", "step"] = "cosine",
    label_smoothing: float = 0.0,
) -> ClassLoss:
    """Weighted cross-entropy; the weights go from uniform to n^-tau as `modulated` says."""
    raise NotImplementedError


@LOSSES
def focal(
    class_counts: Tensor,
    /,
    *,
    gamma: float = 2.0,
    alpha: float | tuple[float, ...] | Literal["from_counts"] | None = None,
    label_smoothing: float = 0.0,
) -> ClassLoss:
    """alpha_y (1 - p_t)^gamma CE, with p_t from the plain softmax (Lin et al., ICCV 2017)."""
    raise NotImplementedError


@LOSSES
def class_balanced(class_counts: Tensor, /, *, beta: float = 0.999) -> ClassLoss:
    """Cross-entropy weighted by the effective number of images (Cui et al., CVPR 2019)."""
    raise NotImplementedError


@LOSSES
def balanced_softmax(class_counts: Tensor, /) -> ClassLoss:
    """Logit adjustment with tau 1 (Ren et al., NeurIPS 2020)."""
    raise NotImplementedError


@LOSSES
def logit_adjustment(class_counts: Tensor, /, *, tau: float = 1.0) -> ClassLoss:
    """CE(x + tau ln pi), pi the share of each class in training (Menon et al., ICLR 2021)."""
    raise NotImplementedError


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
    """Label-distribution-aware margins, deferred re-weighting (Cao et al., NeurIPS 2019)."""
    raise NotImplementedError
