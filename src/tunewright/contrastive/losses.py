"""Contrastive losses over a batch of pairs: images [B, d], texts [B, d], ids [B] -> scalar.

Rows are unit vectors, and row i of both sides is a pair. Rows with equal ids (captions of one
image) are positives of each other. Products follow autocast; everything after them is computed in
float32, or in float64 for float64 inputs. The scale of the logits is stored as its logarithm s =
ln(1 / temperature) in `log_scale`, in the state dict whether it is learned or fixed.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from tunewright.registry import Registry
from tunewright.training.precision import at_least_float32

MAX_LOG_SCALE = math.log(100)  # CLIP, section 2.5: a larger scale makes training unstable
INITIAL_BIAS = -10.0  # SigLIP, section 3.2: at the start nearly all pairs are negatives
CHUNK_ROWS = 512


class ContrastiveLoss(nn.Module, ABC):
    """A loss with a temperature, fixed (a buffer) or learned (a parameter).

    A learned scale is at most 100, or its initial value if that is larger. Call `clamp_` after
    every optimiser step, so that the stored value is the one in use.
    """

    log_scale: Tensor

    def __init__(self, *, temperature: float, learnable_temp: bool) -> None:
        super().__init__()
        start = math.log(1 / temperature)
        self.max_log_scale = max(MAX_LOG_SCALE, start)
        if learnable_temp:
            self.log_scale = nn.Parameter(torch.tensor(start))
        else:
            self.register_buffer("log_scale", torch.tensor(start))

    @abstractmethod
    def forward(self, images: Tensor, texts: Tensor, ids: Tensor) -> Tensor:
        """Return the mean loss of the batch, a scalar."""

    @property
    def scale(self) -> Tensor:
        """The factor on similarities, 1 / temperature, with its gradient."""
        # Not `log_scale.clamp`: its gradient is zero above the maximum, so a scale that gets or
        # starts there (temperature 0.01) could never decrease.
        excess = (self.log_scale - self.max_log_scale).clamp(min=0).detach()
        return (self.log_scale - excess).exp()

    @property
    def temperature(self) -> Tensor:
        """The temperature in use: a scalar without gradient, to be logged."""
        return 1 / self.scale.detach()

    @torch.no_grad()
    def clamp_(self) -> None:
        """Clamp the stored scale to its maximum after an optimiser step."""
        self.log_scale.clamp_(max=self.max_log_scale)


# Every factory takes the width of the shared space, though only the queue has rows to store.
LOSSES: Registry[Callable[..., ContrastiveLoss]] = Registry("contrastive loss")


@LOSSES
def softmax(
    embedding_dim: int, /, *, temperature: float = 0.07, learnable_temp: bool = True
) -> ContrastiveLoss:
    """Make softmax InfoNCE in both directions; all captions of an image share the target equally.

    Source: Radford et al. (CLIP), ICML 2021, figure 3.
    """
    return SoftmaxLoss(temperature=temperature, learnable_temp=learnable_temp)


@LOSSES
def sigmoid(
    embedding_dim: int,
    /,
    *,
    temperature: float = 0.1,
    learnable_temp: bool = True,
    sigmoid_bias: bool = True,
) -> ContrastiveLoss:
    """Make a loss that classifies every pair of the batch as match or no match, divided by B.

    sigmoid_bias: learn a bias of the logits that starts at -10; False leaves it out. Source: Zhai
    et al. (SigLIP), ICCV 2023, algorithm 1.
    """
    return SigmoidLoss(
        temperature=temperature, learnable_temp=learnable_temp, sigmoid_bias=sigmoid_bias
    )


@LOSSES
def queue(
    embedding_dim: int,
    /,
    *,
    temperature: float = 0.07,
    learnable_temp: bool = False,
    queue_size: int = 4096,
    mask_batch_duplicates: bool = True,
) -> ContrastiveLoss:
    """Make image-to-text InfoNCE with the texts of past batches as additional negatives.

    queue_size: rows kept. mask_batch_duplicates: other captions of the same image in the batch are
    not negatives; False keeps them as (false) negatives. Its captions in the queue never are
    negatives. Source: He et al. (MoCo), CVPR 2020, section 3.2, without the momentum encoder.
    """
    return QueueLoss(
        embedding_dim,
        temperature=temperature,
        learnable_temp=learnable_temp,
        queue_size=queue_size,
        mask_batch_duplicates=mask_batch_duplicates,
    )


class SoftmaxLoss(ContrastiveLoss):
    """Half the sum of the cross-entropies over rows and columns, with targets P_i / sum(P_i)."""

    def forward(self, images: Tensor, texts: Tensor, ids: Tensor) -> Tensor:
        """Return the mean loss of the batch, a scalar."""
        images, texts = self.scale * at_least_float32(images), at_least_float32(texts)
        positives, count = _positives(texts, ids)
        normalisers = cast(Tensor, _LogSumExpSum.apply(images, texts))
        # P is symmetric, so both directions share their target term. It is linear in the texts, so
        # it needs only the mean text of each group, not P itself.
        targets = ((images * positives).sum(1) / count).sum()
        return (normalisers / 2 - targets) / len(ids)


class SigmoidLoss(ContrastiveLoss):
    """-1/B sum_ij ln sigmoid(z_ij (scale * S_ij + bias)), z = +1 for positives, else -1."""

    def __init__(self, *, temperature: float, learnable_temp: bool, sigmoid_bias: bool) -> None:
        super().__init__(temperature=temperature, learnable_temp=learnable_temp)
        self.bias = nn.Parameter(torch.tensor(INITIAL_BIAS)) if sigmoid_bias else None

    def forward(self, images: Tensor, texts: Tensor, ids: Tensor) -> Tensor:
        """Return the mean loss of the batch, a scalar."""
        images, texts = self.scale * at_least_float32(images), at_least_float32(texts)
        bias = images.new_zeros(()) if self.bias is None else self.bias
        positives, count = _positives(texts, ids)
        # -ln sigmoid(l) = softplus(-l) = softplus(l) - l: count every pair as a negative, then
        # subtract the logits of the positives.
        negatives = cast(Tensor, _SoftplusSum.apply(images, texts, bias))
        return (negatives - (images * positives).sum() - bias * count.sum()) / len(ids)


class QueueLoss(ContrastiveLoss):
    """Image-to-text cross-entropy over [S | X Q^T] * scale, with the diagonal as target.

    The queue is first in, first out: a ring buffer written at `enqueued` modulo its size. Texts
    enter, without gradient, after the loss of their batch, and in training mode only; evaluation
    reads the queue, so that its loss is comparable, and does not change it. Slots never written are
    masked, so an empty queue gives the in-batch loss.
    """

    queue: Tensor
    queue_ids: Tensor
    enqueued: Tensor
    _copied_into_averages = ("queue",)  # the mean of two texts in one slot is neither

    def __init__(
        self,
        embedding_dim: int,
        /,
        *,
        temperature: float,
        learnable_temp: bool,
        queue_size: int,
        mask_batch_duplicates: bool,
    ) -> None:
        super().__init__(temperature=temperature, learnable_temp=learnable_temp)
        self.mask_batch_duplicates = mask_batch_duplicates
        self.register_buffer("queue", torch.zeros(queue_size, embedding_dim))
        self.register_buffer("queue_ids", torch.zeros(queue_size, dtype=torch.int64))
        self.register_buffer("enqueued", torch.zeros((), dtype=torch.int64))

    def forward(self, images: Tensor, texts: Tensor, ids: Tensor) -> Tensor:
        """Return the mean loss of the batch, a scalar; in training mode, then enqueue the texts."""
        images, texts = self.scale * at_least_float32(images), at_least_float32(texts)
        # The copy also keeps the queue of this step for backward while `enqueue` overwrites it.
        gallery = torch.cat([texts, self.queue.to(texts.dtype)])  # [B + queue_size, d]
        logits = at_least_float32(images @ gallery.T).masked_fill_(
            self._exclusion_mask(ids), -math.inf
        )
        loss = (logits.logsumexp(1) - (images * texts).sum(1)).mean()
        if self.training:
            self.enqueue(texts, ids)
        return loss

    @torch.no_grad()
    def enqueue(self, texts: Tensor, ids: Tensor) -> None:
        """Append texts [B, d] with ids [B], overwriting the oldest rows.

        Of more rows than the queue holds, the newest stay. With a size of 4 and 3 rows enqueued
        before, 2 new rows go to slots 3 and 0.
        """
        size = len(self.queue)
        texts, ids = texts[-size:], ids[-size:]
        slots = (self.enqueued + torch.arange(len(ids), device=ids.device)) % size
        self.queue[slots] = texts.to(self.queue.dtype)
        self.queue_ids[slots] = ids
        self.enqueued += len(ids)

    def _exclusion_mask(self, ids: Tensor) -> Tensor:
        """Return which logits [B, B + queue_size] are neither negatives nor the target."""
        batch, size = len(ids), len(self.queue)
        excluded = ids[:, None] == torch.cat([ids, self.queue_ids])
        if self.mask_batch_duplicates:
            excluded.fill_diagonal_(False)
        else:
            excluded[:, :batch] = False
        # A mask instead of a shorter queue: reading the count back would stall a GPU every step.
        excluded[:, batch:] |= torch.arange(size, device=ids.device) >= self.enqueued
        return excluded


class _LogSumExpSum(Function):
    """The sum of the logsumexp of all rows and all columns of a b^T, for a, b [B, d].

    Like `_SoftplusSum`, it computes the gradients in the forward pass: autograd would keep the
    logits and build another [B, B] matrix for each direction.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        wants_a, wants_b = ctx.needs_input_grad
        logits = at_least_float32(a @ b.T)  # [B, B]
        if not (wants_a or wants_b):
            return logits.logsumexp(1).sum() + logits.logsumexp(0).sum()
        # The gradient is the softmax of rows plus that of columns: exponentials by their sums,
        # which `logsumexp` would discard.
        row_peaks, column_peaks = logits.amax(1, keepdim=True), logits.amax(0)
        by_row, by_column = (logits - row_peaks).exp_(), logits.sub_(column_peaks).exp_()
        row_sums, column_sums = by_row.sum(1, keepdim=True), by_column.sum(0)
        slope = by_row.mul_(1 / row_sums).add_(by_column.mul_(1 / column_sums))
        ctx.save_for_backward(slope @ b if wants_a else None, slope.T @ a if wants_b else None)
        rows, columns = row_peaks + row_sums.log(), column_peaks + column_sums.log()
        return rows.sum() + columns.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return tuple(None if g is None else g * grad for g in ctx.saved_tensors)


class _SoftplusSum(Function):
    """sum_ij softplus(a_i . b_j + bias) for a, b [B, d], in O(CHUNK_ROWS * B) memory.

    The gradients are accumulated in the forward pass while a chunk of logits exists, so neither the
    logits nor a second product outlive the chunk.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, bias: Tensor) -> Tensor:
        wants_a, wants_b, wants_bias = ctx.needs_input_grad
        total, grad_bias = a.new_zeros(()), a.new_zeros(())
        grad_a = torch.empty_like(a) if wants_a else None
        grad_b = torch.zeros_like(b) if wants_b else None
        for start in range(0, len(a), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            logits = at_least_float32(a[rows] @ b.T).add_(bias)  # [CHUNK_ROWS, B]
            total += F.softplus(logits).sum()
            if not (wants_a or wants_b or wants_bias):
                continue
            slope = logits.sigmoid_()
            if grad_a is not None:
                grad_a[rows] = slope @ b
            if grad_b is not None:
                grad_b += slope.T @ a[rows]
            if wants_bias:
                grad_bias += slope.sum()
        ctx.save_for_backward(grad_a, grad_b, grad_bias if wants_bias else None)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return tuple(None if g is None else g * grad for g in ctx.saved_tensors)


def _positives(texts: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each row the sum [B, d] of all texts with its id, and their number [B].

    Shapes never depend on the ids, so nothing waits for a GPU. Ids 7, 5, 7 are groups 1, 0, 1, and
    rows 0 and 2 both get the sum of their texts and the number 2.
    """
    order = ids.argsort()
    ordered = ids[order]
    begins = torch.ones_like(ids)
    begins[1:] = ordered[1:] != ordered[:-1]
    group = torch.empty_like(ids).scatter_(0, order, begins.cumsum(0) - 1)
    sums = torch.zeros_like(texts).index_add(0, group, texts)
    counts = torch.zeros_like(ids).index_add(0, group, torch.ones_like(ids))
    return sums.index_select(0, group), counts.index_select(0, group)
