"""Do one contrastive step in micro-batches, with the gradient of the whole batch.

The loss of a pair needs the vectors of all other pairs as negatives, so a loss per micro-batch
would be a different loss. Only the activations that the heads keep for their backward pass take
less memory. The inputs [B, width], the vectors [B, output_dim] and the logits of the loss stay
whole: [B, B] for `softmax`, [B, B + queue_size] for `queue`, 512 rows at a time for `sigmoid`.

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
    """A task whose loss takes unit vectors."""

    def contrast(self, model: nn.Module, images: Tensor, texts: Tensor, ids: Tensor) -> Loss:
        """Compute the loss of unit vectors [B, output_dim] with ids [B, 2]."""
        ...


def cached_backward(
    task: Contrast,
    model: nn.Module,
    batches: Sequence[Batch],
    backward: Callable[[Tensor], None],
) -> Loss:
    """Accumulate the gradients of one loss over all `batches` together; return that loss.

    The heads run twice: first without a graph, to get all vectors, the loss, and its gradient with
    respect to each vector; then once more for each micro-batch, which propagates that gradient
    to the weights. The random state is replayed, so both passes drop the same units, and ends
    as after one pass. A forward pass must not change a head: these use layer norm; batch norm would
    update its statistics twice, and by micro-batch.
    """
    before: list[Generators] = []
    vectors: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        for images, texts, _ in batches:
            before.append(_generators(images.device))
            vectors.append(model(images, texts))
    torch.clear_autocast_cache()  # the cached casts above have no graph
    leaves = [torch.cat(side).requires_grad_() for side in zip(*vectors, strict=True)]
    loss = task.contrast(model, leaves[0], leaves[1], torch.cat([ids for _, _, ids in batches]))
    backward(loss.total)  # applies the loss scale, so the gradients below are scaled already
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
    """Return the states of the random generators that dropout draws from."""
    on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), on_gpu


def _set_generators(state: Generators, device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
