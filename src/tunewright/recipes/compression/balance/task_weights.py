"""Weights of tasks that are trained together, and the loss that they make of the tasks' losses.

Both ways to choose the weights minimise the norm of sum_i z_i grad ln D_i over the simplex, so that
all tasks decrease relative to their size: `famo` by a step on the logits of z for each step of the
model, `qp` exactly, from the gradients themselves.

Source: Zhang, Duan, Huang & Zhu, "Balanced Rate-Distortion Optimization in Learned Image
Compression", CVPR 2025; Liu et al., "FAMO: Fast Adaptive Multitask Optimization", NeurIPS 2023.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

MINIMUM = -1.0
"""The least that a loss could be, m; below 0, so that no logarithm is of a number near 0."""
EPSILON = 1e-8


class TaskWeights(ABC):
    """Weights z of some tasks, which add up to 1.

    losses: of the tasks, [n], each above `minimum`. minimum: m, of every task. All of it is
    computed in float64.
    """

    def __init__(self, minimum: float = MINIMUM) -> None:
        self.minimum = minimum

    @property
    @abstractmethod
    def weights(self) -> Tensor:
        """The weights: [n], float64."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""

    def distances(self, losses: Tensor) -> Tensor:
        """Return D = losses - m + 1e-8: [n]."""
        return losses.double() - self.minimum + EPSILON

    def objective(self, losses: Tensor) -> Tensor:
        """Return sum_i z_i ln D_i / c, with c = sum_j z_j / D_j kept fixed: what is minimised."""
        distances, weights = self.distances(losses), self.weights
        scale = (weights / distances).sum().detach()
        return (weights * distances.log()).sum() / scale

    def shares(self, losses: Tensor) -> Tensor:
        """Return the derivative of `objective` by each loss: [n], detached; they add up to 1."""
        parts = self.weights / self.distances(losses.detach())
        return parts / parts.sum()


class FamoWeights(TaskWeights):
    """Weights by one step of Adam on their logits w after each step of the model, from equal parts.

    tasks: how many. w_lr: the learning rate of the logits.
    """

    def __init__(
        self,
        tasks: int,
        *,
        w_lr: float,
        minimum: float = MINIMUM,
        device: torch.device | None = None,
    ) -> None:
        super().__init__(minimum)
        self.logits = torch.zeros(tasks, dtype=torch.float64, device=device)
        self._adam = torch.optim.Adam([self.logits], lr=w_lr)

    @property
    def weights(self) -> Tensor:
        """Softmax of the logits: [n], float64."""
        return self.logits.softmax(0)

    def update(self, before: Tensor, after: Tensor, gamma: float | Tensor) -> None:
        """Take weight from the tasks whose loss has decreased more, relative to its size.

        before, after: the losses [n] of one batch, around a step of the model. gamma: decay of the
        logits, one or [n]. The gradient is z_i (delta_i - sum_j z_j delta_j) + gamma w_i, with
        delta = ln D(before) - ln D(after). Losses that are not finite change nothing.
        """
        delta = self.distances(before).log() - self.distances(after).log()
        if not bool(delta.isfinite().all()):
            return
        weights = self.weights
        self.logits.grad = weights * (delta - weights @ delta) + gamma * self.logits
        self._adam.step()
        self.logits.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the logits and the moments of their Adam."""
        return {"logits": self.logits.cpu().clone(), "adam": self._adam.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.logits.copy_(state["logits"])
        self._adam.load_state_dict(state["adam"])


class QpWeights(TaskWeights):
    """Weights of two tasks that minimise the norm of the weighted sum of their gradients."""

    def __init__(self, *, minimum: float = MINIMUM, device: torch.device | None = None) -> None:
        super().__init__(minimum)
        self._weights = torch.full((2,), 0.5, dtype=torch.float64, device=device)

    @property
    def weights(self) -> Tensor:
        """Those of the last batch that was solved: [2], float64."""
        return self._weights

    def solve(self, losses: Tensor, gradients: Sequence[Sequence[Tensor]]) -> None:
        """Choose the weights for a batch.

        losses: [2]. gradients: of each loss, by parameter. What is not finite changes nothing.
        """
        distances = self.distances(losses.detach())
        gram = gram_matrix(*gradients) / torch.outer(distances, distances)  # those of ln D
        if bool(distances.isfinite().all() & gram.isfinite().all()):
            self._weights = minimum_norm_weights(gram)

    def state_dict(self) -> dict[str, Any]:
        """Return the weights."""
        return {"weights": self._weights.cpu()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._weights = state["weights"].to(self._weights)


def gram_matrix(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Return the inner products of two gradients, each given by parameter: [2, 2] float64."""

    def product(some: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        pairs = zip(some, others, strict=True)
        parts = [torch.dot(a.flatten(), b.flatten()).double() for a, b in pairs]
        return torch.stack(parts).sum()

    mixed = product(first, second)
    products = [product(first, first), mixed, mixed, product(second, second)]
    return torch.stack(products).reshape(2, 2)


def minimum_norm_weights(gram: Tensor) -> Tensor:
    """Return w >= 0 with sum 1 that minimises w' Q w, for a 2 x 2 Gram matrix Q: [2].

    Inside the simplex that is Q^-1 1 / (1' Q^-1 1); else the shorter of the two gradients has all
    of the weight. Equal parts where both gradients are the same.
    """
    (first, mixed), (_, second) = gram.unbind()
    width = first + second - 2.0 * mixed  # the squared norm of the gradients' difference
    share = torch.where(width > 0.0, (second - mixed) / width, torch.full_like(width, 0.5))
    share = share.clamp(0.0, 1.0)
    return torch.stack([share, 1.0 - share])
