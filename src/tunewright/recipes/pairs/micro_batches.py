"""One contrastive step in micro-batches, with the gradient of the whole batch.

The loss of a pair needs the vectors of all others as negatives, so a loss for each micro-batch
would be another loss. What the heads keep for their backward pass is the memory that shrinks;
inputs [B, width], vectors [B, output_dim] and what the loss makes of them stay: [B, B] logits for
`softmax`, [B, B + queue_size] for `queue`, 512 rows of them at a time for `sigmoid`.

Source: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup".
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from tunewright.training.task import Loss

Batch = tuple[Tensor, Tensor, Tensor]
Generators = tuple[Tensor, Tensor | None]


class Contrast(Protocol):
    """A task whose loss is one of unit vectors."""

    def contrast(self, model: nn.Module, images: Tensor, texts: Tensor, ids: Tensor) -> Loss:
        """The loss of unit vectors [B, output_dim] with ids [B, 2]."""
        ...


def cached_backward(
    task: Contrast,
    model: nn.Module,
    batches: Sequence[Batch],
    backward: Callable[[Tensor], None],
) -> Loss:
    """Leave the gradients of the loss over all `batches` together.

    The heads run twice: once without a graph for all vectors, from which the loss and its
    gradient by each vector follow; then for one micro-batch after another, which hands that
    gradient on. The random state is replayed, so both runs drop the same units, and stands
    afterwards where one run would have left it. A head must not change in a forward pass:
    ours have layer norm; batch norm would count twice, and by micro-batch.
    """
    before: list[Generators] = []
    vectors: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        for images, texts, _ in batches:
            before.append(_generators(images.device))
            vectors.append(model(images, texts))
    torch.clear_autocast_cache()  # weights that were cast above are cast without a graph
    leaves = [torch.cat(side).requires_grad_() for side in zip(*vectors, strict=True)]
    loss = task.contrast(model, leaves[0], leaves[1], torch.cat([ids for _, _, ids in batches]))
    backward(loss.total)  # scaled here, so that what is handed on below is scaled already
    rows = [len(ids) for _, _, ids in batches]
    slopes = [_gradient(leaf).split(rows) for leaf in leaves]
    for (images, texts, _), state, *slope in zip(batches, before, *slopes, strict=True):
        _set_generators(state, images.device)
        again = model(images, texts)
        with torch.autocast(images.device.type, enabled=False):
            torch.autograd.backward(again, slope)
    return Loss(loss.total.detach(), loss.terms)


def _gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


def _generators(device: torch.device) -> Generators:
    """The states that dropout draws from."""
    on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), on_gpu


def _set_generators(state: Generators, device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
