"""Batch norms whose statistics are those of the micro-batch on all ranks together.

torch's `SyncBatchNorm` is for GPUs only. Here the means and variances of the ranks are combined by
Chan et al. 1979, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", so
that the result is that of one process with all rows, on any device.
"""

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from tunewright.errors import ConfigError
from tunewright.training.precision import at_least_float32
from tunewright.training.ranks.ranks import Ranks


class SharedStatistics(_BatchNorm):
    """What the batch norms of a model become; also timm's, which drop and activate afterwards."""

    ranks: Ranks

    def forward(self, x: Tensor) -> Tensor:
        """Normalise with the statistics of all ranks in training, else with the running ones."""
        if not self.training:
            return super().forward(x)
        self._check_input_dim(x)  # type: ignore[no-untyped-call]
        y, mean, variance, count = _Normalise.apply(x, self.weight, self.bias, self.eps, self.ranks)
        if self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            momentum = self.momentum
            if momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked)
            with torch.no_grad():
                unbiased = variance * (count / (count - 1).clamp(min=1))
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
                self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)
        for name in ("drop", "act"):
            if (after := getattr(self, name, None)) is not None:
                y = after(y)
        return cast(Tensor, y)


def share_batch_norms(model: nn.Module, ranks: Ranks) -> int:
    """Make all batch norms of `model` share their statistics; return how many there are.

    They keep weights, buffers, names and hooks. Raises ConfigError for a kind of batch norm with a
    computation of its own.
    """
    if ranks.alone:
        return 0
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        kind = type(norm)
        if kind.forward is not _BatchNorm.forward and not hasattr(norm, "act"):
            raise ConfigError(
                f"executor.processes = {ranks.count} for a model with {kind.__name__}",
                expected="batch norms of torch or timm, whose statistics the processes can share",
                remedy="Set executor.processes=1, or choose another model.",
            )
        norm.__class__ = type(f"Shared{kind.__name__}", (SharedStatistics, kind), {})
        cast(SharedStatistics, norm).ranks = ranks
    return len(norms)


class _Normalise(Function):
    """Normalised x, and the mean [C], variance [C] and count of values that served for it."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, ranks: Ranks
    ) -> tuple[Tensor, ...]:
        values = at_least_float32(x)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        variance, mean = torch.var_mean(values, axes, correction=0)
        own = torch.cat([mean, variance, mean.new_tensor([x.numel() / x.shape[1]])])
        found = [torch.empty_like(own) for _ in range(ranks.count)]
        dist.all_gather(found, own)
        together = torch.stack(found)
        means, variances, counts = together.split([len(mean), len(mean), 1], dim=1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        variance = (counts * (variances + (means - mean).square())).sum(0) / count
        ctx.save_for_backward(values, weight, mean, (variance + eps).rsqrt(), count)
        ctx.axes, ctx.dtype = axes, x.dtype
        ctx.mark_non_differentiable(mean, variance, count)
        wide = [None if one is None else one.to(values.dtype) for one in (weight, bias)]
        y = F.batch_norm(values, mean, variance, wide[0], wide[1], False, 0.0, eps)
        return y.to(x.dtype), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        values, weight, mean, scale, count = ctx.saved_tensors
        shape = [1, -1, *[1] * (values.ndim - 2)]
        grad = at_least_float32(grads[0])
        normalised = (values - mean.view(shape)) * scale.view(shape)
        own = torch.stack([grad.sum(ctx.axes), (grad * normalised).sum(ctx.axes)])
        total = own.clone()
        dist.all_reduce(total)
        factor = scale if weight is None else scale * weight
        means = (total / count).view(2, *shape)
        slope = factor.view(shape) * (grad - means[0] - normalised * means[1])
        by_weight, by_bias = (None, None) if weight is None else (own[1], own[0])
        return slope.to(ctx.dtype), by_weight, by_bias, None, None
