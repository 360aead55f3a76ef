"""Optimisers from configuration, and the learning rate set by the clock."""

from collections.abc import Sequence

import torch
from torch.optim import Optimizer

from tunewright.config.schema import AdamWConfig, SgdConfig
from tunewright.training.task import Group


def make_optimizer(config: AdamWConfig | SgdConfig, groups: Sequence[Group]) -> Optimizer:
    """The optimiser over a task's groups; a group that does not decay has weight decay 0."""
    parameters = [
        {
            "params": list(group.parameters),
            "lr": config.lr * group.lr_scale,
            "weight_decay": config.weight_decay if group.decays else 0.0,
            "full_lr": config.lr * group.lr_scale,
            "name": group.name,
        }
        for group in groups
    ]
    if isinstance(config, AdamWConfig):
        return torch.optim.AdamW(
            parameters, betas=(config.beta1, config.beta2), eps=config.eps, fused=True
        )
    return torch.optim.SGD(
        parameters, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=True
    )


def set_factor(optimizer: Optimizer, factor: float) -> None:
    """Give every group its full learning rate times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["full_lr"] * factor
