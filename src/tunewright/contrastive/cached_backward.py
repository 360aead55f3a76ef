"""Do one contrastive step in parts, with the gradient of the whole batch.

The parts are micro-batches, and what each process has of them where several train together.

The loss of a pair needs the vectors of all other pairs as negatives, so a loss per micro-batch
would be a different loss. Only the activations that the encoders keep for their backward pass take
less memory. The inputs, the vectors [B, output_dim] and the logits of the loss stay whole.

Source: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup".
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tunewright.training.task import Loss, StepContext, mean_loss

Batch = Any
Generators = tuple[Tensor, Tensor | None]


class Contrast(Protocol):
    """A task whose loss takes vectors of whole batches."""

    def encode(self, model: nn.Module, batch: Batch) -> tuple[Tensor, ...]:
        """Return the vectors of a micro-batch, each with its rows first: [b, output_dim]."""
        ...

    def targets(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return what the loss needs of a micro-batch besides its vectors, rows first."""
        ...

    def contrast(
        self, model: nn.Module, vectors: Sequence[Tensor], targets: Sequence[Tensor]
    ) -> Loss:
        """Return the loss of vectors [B, output_dim] and `targets` of a whole batch."""
        ...


def contrastive_backward(
    task: Contrast, model: nn.Module, batches: Sequence[Batch], context: StepContext
) -> Loss:
    """Accumulate the gradients of one loss over all `batches`, of all processes; return that loss.

    Rows are compared with those of the other micro-batches and processes, too.
    """
    if len(batches) > 1:
        return cached_backward(task, model, batches, context)
    vectors = task.encode(model, batches[0])
    loss = _whole_loss(task, model, vectors, batches, context)
    context.backward(loss.total)
    return mean_loss([loss], [1.0])


def _whole_loss(
    task: Contrast,
    model: nn.Module,
    vectors: Sequence[Tensor],
    batches: Sequence[Batch],
    context: StepContext,
) -> Loss:
    numbers = range(len(batches))
    own = [torch.cat(side) for side in zip(*(task.targets(b) for b in batches), strict=True)]
    targets = [context.gather([side], numbers)[0] for side in own]
    return task.contrast(model, context.gather(vectors, numbers), targets)


def cached_backward(
    task: Contrast, model: nn.Module, batches: Sequence[Batch], context: StepContext
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
    loss = _whole_loss(task, model, leaves, batches, context)
    context.backward(loss.total)  # with the loss scale, so the gradients below are scaled already
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
