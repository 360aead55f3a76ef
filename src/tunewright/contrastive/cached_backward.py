"""Do one contrastive step in micro-batches, with the gradient of the whole batch.

The loss of a pair needs the vectors of all other pairs as negatives, so a loss per micro-batch
would be a different loss. Only the activations that the encoders keep for their backward pass take
less memory. The inputs, the vectors [B, output_dim] and the logits of the loss stay whole.

Source: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup".
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tunewright.training.task import Loss

Batch = Any
Generators = tuple[Tensor, Tensor | None]


class Contrast(Protocol):
    """A task whose loss takes vectors of whole batches."""

    def encode(self, model: nn.Module, batch: Batch) -> tuple[Tensor, ...]:
        """Return the vectors of a micro-batch, each with its rows first: [b, output_dim]."""
        ...

    def contrast_batches(
        self, model: nn.Module, vectors: Sequence[Tensor], batches: Sequence[Batch]
    ) -> Loss:
        """Return the loss of the vectors [B, output_dim] of all `batches` together."""
        ...


def cached_backward(
    task: Contrast,
    model: nn.Module,
    batches: Sequence[Batch],
    backward: Callable[[Tensor], None],
) -> Loss:
    """Accumulate the gradients of one loss over all `batches` together; return that loss.

    The encoders run twice: first without a graph, to get all vectors, the loss, and its gradient
    with respect to each vector; then once more for each micro-batch, which propagates that gradient
    to the weights. The random state is replayed, so both passes drop the same units, and ends
    as after one pass. Batch norm updates its statistics in the second pass alone; it normalises by
    micro-batch, so the gradient is that of the whole batch for encoders without it.
    """
    before: list[Generators] = []
    vectors: list[tuple[Tensor, ...]] = []
    device = next(model.parameters()).device
    with torch.no_grad(), _statistics_kept(model):
        for batch in batches:
            before.append(_generators(device))
            vectors.append(task.encode(model, batch))
    torch.clear_autocast_cache()  # the cached casts above have no graph
    leaves = [torch.cat(side).requires_grad_() for side in zip(*vectors, strict=True)]
    loss = task.contrast_batches(model, leaves, batches)
    backward(loss.total)  # applies the loss scale, so the gradients below are scaled already
    rows = [len(sides[0]) for sides in vectors]
    slopes = [_gradient(leaf).split(rows) for leaf in leaves]
    for batch, state, *slope in zip(batches, before, *slopes, strict=True):
        _set_generators(state, device)
        again = task.encode(model, batch)
        # Vectors of a frozen encoder depend on no trained weight.
        trained = [(v, grad) for v, grad in zip(again, slope, strict=True) if v.requires_grad]
        with torch.autocast(device.type, enabled=False):
            torch.autograd.backward([v for v, _ in trained], [grad for _, grad in trained])
    return Loss(loss.total.detach(), loss.terms)


def _gradient(leaf: Tensor) -> Tensor:
    """Return the gradient of a leaf; zeros where the loss leaves it out, as an absent eye."""
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


@contextmanager
def _statistics_kept(model: nn.Module) -> Iterator[None]:
    """Keep the running statistics of batch norms as they are."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _generators(device: torch.device) -> Generators:
    """Return the states of the random generators that dropout draws from."""
    on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), on_gpu


def _set_generators(state: Generators, device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
