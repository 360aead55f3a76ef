"""Batch normalisation under gradient checkpointing: each batch counts once.

Activations that are thrown away are computed again on the way back, and a batch norm would take
the same batch into its running statistics a second time. Models would then differ by whether
memory was saved, which is no one's intention.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

KEPT = "_statistics_of_the_way_there"


def count_batches_once(model: nn.Module) -> None:
    """Let no running statistics of `model` move while a backward pass computes forward again."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            module.register_forward_pre_hook(_lend_copies)
            # Also when torch stops in the middle, since it needs no more.
            module.register_forward_hook(_take_back, always_call=True)


def _lend_copies(module: nn.Module, _inputs: object) -> None:
    # The number of the backward pass that this thread is in, as torch.utils.checkpoint asks it.
    if torch._C._current_graph_task_id() != -1:
        kept = dict(module.named_buffers(recurse=False))
        module.__dict__[KEPT] = kept
        _restore(module, {name: buffer.clone() for name, buffer in kept.items()})


def _take_back(module: nn.Module, _inputs: object, _output: object) -> None:
    _restore(module, module.__dict__.pop(KEPT, {}))


def _restore(module: Any, buffers: dict[str, Tensor]) -> None:
    for name, buffer in buffers.items():
        setattr(module, name, buffer)
