"""Gather values from places of a grid and scatter them back, with gradients.

PyTorch's gradient of indexing adds up values of repeated places, one by one or after sorting. Here
no place is ever repeated, so the gradients only copy.
"""

import torch
from torch import Tensor


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Return [B, n] of values [B, N]; index is int64 [n], each place at most once."""
    return _Pick.apply(values, index)  # type: ignore[no-any-return]


def scatter(onto: Tensor, index: Tensor, values: Tensor) -> Tensor:
    """Return `onto` [B, N] with values [B, n] at the places index [n], each at most once."""
    return _Scatter.apply(onto, index, values.to(onto.dtype))  # type: ignore[no-any-return]


class _Pick(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, values: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.places = values.shape[1]  # type: ignore[attr-defined]
        return values[:, index]

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors  # type: ignore[attr-defined]
        found = grads[0].new_zeros(len(grads[0]), ctx.places)  # type: ignore[attr-defined]
        found[:, index] = grads[0]
        return found, None


class _Scatter(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, onto: Tensor, index: Tensor, values: Tensor
    ) -> Tensor:
        ctx.save_for_backward(index)
        found = onto.clone()
        found[:, index] = values
        return found

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *grads: Tensor
    ) -> tuple[Tensor | None, None, Tensor]:
        (index,) = ctx.saved_tensors  # type: ignore[attr-defined]
        of_values = grads[0][:, index]
        if not ctx.needs_input_grad[0]:  # type: ignore[attr-defined]
            return None, None, of_values
        of_onto = grads[0].clone()
        of_onto[:, index] = 0
        return of_onto, None, of_values
