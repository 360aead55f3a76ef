"""Batch normalisation under gradient checkpointing: each batch counts once.

Checkpointing computes the forward pass again during backward, and a batch norm would update its
running statistics with the same batch twice. Models would then depend on whether memory was saved.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

KEPT = "_statistics_of_the_way_there"


def count_batches_once(model: nn.Module) -> None:
    """Keep the running statistics of `model` fixed while backward computes forward again."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            module.register_forward_pre_hook(_lend_copies)
            # Also if torch stops early because it needs no more activations.
            module.register_forward_hook(_take_back, always_call=True)


def _lend_copies(module: nn.Module, _inputs: object) -> None:
    # -1 outside of a backward pass; torch.utils.checkpoint uses the same check.
    if torch._C._current_graph_task_id() != -1:
        kept = dict(module.named_buffers(recurse=False))
        module.__dict__[KEPT] = kept
        _restore(module, {name: buffer.clone() for name, buffer in kept.items()})


def _take_back(module: nn.Module, _inputs: object, _output: object) -> None:
    _restore(module, module.__dict__.pop(KEPT, {}))


def _restore(module: Any, buffers: dict[str, Tensor]) -> None:
    for name, buffer in buffers.items():
        setattr(module, name, buffer)
