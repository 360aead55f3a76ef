"""Evaluate a model on all ranks: each row once, and the metrics of one process."""

import torch
from torch import nn

from tunewright.training.ranks.batch_parts import BatchParts
from tunewright.training.ranks.ranks import Ranks
from tunewright.training.task import Arrays, Loader, Metrics, Task


def evaluate_together(task: Task, model: nn.Module, loader: Loader, ranks: Ranks) -> Metrics:
    """Return the task's collector after one pass, in evaluation mode; complete on rank 0 alone.

    Rank 0 gets all predictions in the order in which one process would make them.
    """
    metrics = task.metrics()
    was_training = model.training
    model.eval()
    own: list[tuple[int, Arrays]] = []
    with torch.no_grad():
        for at, batch in enumerate(BatchParts(loader, ranks, may_be_empty=True).epoch(0)):
            if batch is not None:
                own.append((at, task.predict(model, batch)))
    model.train(was_training)
    for arrays in _collect(own, ranks):
        metrics.update(arrays)
    return metrics


def _collect(own: list[tuple[int, Arrays]], ranks: Ranks) -> list[Arrays]:
    """Return the predictions of all ranks, by batch and rank; those of others than 0: none."""
    described = ranks.gather_to_leader([(at, _shapes(arrays)) for at, arrays in own])
    if not ranks.leads:
        for _, arrays in own:
            ranks.send_to_leader(list(arrays.values()))
        return []
    found = [(at, 0, arrays) for at, arrays in own]
    device = next((leaf.device for _, arrays in own for leaf in arrays.values()), None)
    for rank in range(1, ranks.count):
        for at, shapes in described[rank]:
            tensors = ranks.receive(rank, list(shapes.values()))
            arrays = {n: t.to(device) for n, t in zip(shapes, tensors, strict=True)}
            found.append((at, rank, arrays))
    return [arrays for _, _, arrays in sorted(found, key=lambda one: one[:2])]


def _shapes(arrays: Arrays) -> dict[str, tuple[list[int], torch.dtype]]:
    return {name: (list(one.shape), one.dtype) for name, one in arrays.items()}
