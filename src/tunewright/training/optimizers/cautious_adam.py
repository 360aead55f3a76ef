"""Adam that does not move a weight against its gradient."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

LEAST_SHARE = 1e-3
"""The share of a tensor's entries that move counts as at least this."""
MOST_SCALE = 10.0
"""What the entries that move are scaled up by at most, to make up for those that do not."""


class CautiousAdam(Optimizer):
    """Adam with decoupled weight decay; an entry moves only where momentum and gradient agree.

    An entry of a tensor moves where m * g > 0, and those that do are scaled by the inverse of their
    share, at most by 10: theta -= lr / (1 - beta1^t) * m * mask / (sqrt(v / (1 - beta2^t)) + eps).
    weight_decay: theta is multiplied by 1 - lr * weight_decay before. Sparse gradients raise a
    RuntimeError. Source: Liang et al. 2024, "Cautious Optimizers", algorithm 1, with the limits on
    the scale of Balanced-RD (Zhang, Duan, Huang & Zhu, CVPR 2025).
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; parameters without a gradient neither move nor decay."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            # Parameters that were frozen for a while have taken fewer steps than the others.
            by_steps: dict[int, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_steps.setdefault(self._count_step(parameter), []).append(parameter)
            for steps, parameters in by_steps.items():
                self._update(parameters, steps, group)
        return loss

    def _count_step(self, parameter: Tensor) -> int:
        if parameter.grad is not None and parameter.grad.is_sparse:
            raise RuntimeError("CautiousAdam does not take sparse gradients")
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            for name in ("exp_avg", "exp_avg_sq"):
                state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        state["step"] += 1
        return int(state["step"])

    def _update(self, parameters: list[Tensor], steps: int, group: dict[str, Any]) -> None:
        (beta1, beta2), lr = group["betas"], group["lr"]
        gradients = [p.grad for p in parameters if p.grad is not None]
        means = [self.state[p]["exp_avg"] for p in parameters]
        squares = [self.state[p]["exp_avg_sq"] for p in parameters]
        if group["weight_decay"]:
            torch._foreach_mul_(parameters, 1.0 - lr * group["weight_decay"])
        torch._foreach_lerp_(means, gradients, 1.0 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - beta2)
        moves = torch._foreach_mul(means, gradients)  # > 0 where both have one sign
        torch._foreach_sign_(moves)
        torch._foreach_clamp_min_(moves, 0.0)
        scales = [_scale(mask) for mask in moves]
        torch._foreach_mul_(moves, means)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, math.sqrt(1.0 - beta2**steps))
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_div_(moves, roots)
        torch._foreach_mul_(moves, scales)
        torch._foreach_add_(parameters, moves, alpha=-lr / (1.0 - beta1**steps))


def _scale(mask: Tensor) -> Tensor:
    """Return what the entries that move are multiplied by, without waiting for the device."""
    return mask.mean().clamp_(min=LEAST_SHARE).reciprocal_().clamp_(max=MOST_SCALE)
