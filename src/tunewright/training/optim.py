"""Make optimisers from their configuration, and set the learning rate by the clock."""

from collections.abc import Sequence

import torch
from torch.optim import Optimizer

from tunewright.config.schema import AdamWConfig, SgdConfig
from tunewright.training.task import Group


def make_optimizer(config: AdamWConfig | SgdConfig, groups: Sequence[Group]) -> Optimizer:
    """Make the optimiser of a task's groups; groups that do not decay have weight decay 0."""
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
    """Set every group's learning rate to its full one times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["full_lr"] * factor
