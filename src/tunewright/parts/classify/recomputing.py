"""Batch normalisation under gradient checkpointing: each batch counts once.

Activations that are thrown away are computed again on the way back, and a batch norm would take
the same batch into its running statistics a second time. Models would then differ by whether
memory was saved, which is no one's intention.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def count_batches_once(model: nn.Module) -> None:
    """Let no running statistics of `model` move while a backward pass computes forward again."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            module.register_forward_pre_hook(_still_on_the_way_back)


def _still_on_the_way_back(module: Any, _inputs: object) -> None:
    # The number of the backward pass that this thread is in, as torch.utils.checkpoint asks it.
    module.track_running_stats = torch._C._current_graph_task_id() == -1
