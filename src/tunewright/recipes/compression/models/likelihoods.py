"""Likelihoods of quantised values, from which bits are estimated.

A value v = round(y - mean) costs -log2 P(v - 1/2 < V < v + 1/2) bits, where V is distributed about
0 with a scale s that the model predicts.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tunewright.training.precision import at_least_float32

LIKELIHOOD_BOUND = 1e-9
BETA = 1.5
"""Shape of the generalised Gaussian; 2 is the normal distribution, 1 is Laplace's."""


@dataclass(frozen=True)
class Family:
    """A family of symmetric distributions about 0, parametrised by their scale.

    scale_bound: the smallest scale that is used. largest, levels: of the table of scales, spaced
    evenly in their logarithm from scale_bound, with which values are really coded.
    """

    name: Literal["gaussian", "generalised_gaussian"]
    scale_bound: float
    largest: float
    levels: int

    def scale_table(self) -> Tensor:
        """Return the scales of the table: [levels] float64, ascending."""
        ends = math.log(self.scale_bound), math.log(self.largest)
        return torch.linspace(*ends, self.levels, dtype=torch.float64).exp()

    def survival(self, u: Tensor) -> Tensor:
        """Return P(V > u) at scale 1, for u >= 0; differentiable, accurate in the tail."""
        if self.name == "gaussian":
            return 0.5 * torch.erfc(u * math.sqrt(0.5))
        return _Survival.apply(u)  # type: ignore[no-any-return]


GAUSSIAN = Family("gaussian", scale_bound=0.11, largest=256.0, levels=64)
"""Scales are standard deviations; the table is that of Ballé et al. (ICLR 2018)."""
GENERALISED_GAUSSIAN = Family("generalised_gaussian", scale_bound=0.12, largest=64.0, levels=60)
"""Density proportional to exp(-|v/s|^1.5), as in HPCM."""


def likelihood(values: Tensor, scales: Tensor, family: Family) -> Tensor:
    """Return P(v - 1/2 < V < v + 1/2), at least 1e-9, in float32 or more; inputs broadcast.

    values: about the mean; whole numbers when they are coded, with noise in training.
    """
    v = at_least_float32(values.abs())
    s = lower_bound(scales.to(v.dtype), family.scale_bound)
    near, far = (v - 0.5) / s, (v + 0.5) / s
    tail = family.survival(far)
    # P(V > near) is 1 - P(V > -near) left of the mean.
    head = family.survival(near.abs())
    found = torch.where(near >= 0, head, 1.0 - head) - tail
    return lower_bound(found, LIKELIHOOD_BOUND)


def lower_bound(x: Tensor, bound: float) -> Tensor:
    """Return max(x, bound); below the bound, gradients that would raise x still pass."""
    return _LowerBound.apply(x, bound)  # type: ignore[no-any-return]


class _Survival(torch.autograd.Function):
    """The upper half of the generalised Gaussian of shape BETA; torch's derivative costs more."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        upper: Tensor = torch.special.gammaincc(torch.full_like(u, 1.0 / BETA), u**BETA)
        return 0.5 * upper

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors  # type: ignore[attr-defined]
        density = 0.5 * BETA / math.gamma(1.0 / BETA) * torch.exp(-(u**BETA))
        return -grads[0] * density


class _LowerBound(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound  # type: ignore[attr-defined]
        return x.clamp(min=bound)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        passes = (x >= ctx.bound) | (grads[0] < 0)  # type: ignore[attr-defined]
        return grads[0] * passes, None
