"""Make optimisers from their configuration, and set the learning rate by the clock."""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch.optim import Optimizer

from tunewright.config.components import plugins
from tunewright.config.components.optimizers import (
    OTHER_OPTIMIZERS,
    OWN_KEYS,
    TIMM_OPTIMIZERS,
    Optim,
    OtherOptimizer,
)
from tunewright.errors import ConfigError
from tunewright.registry import Registry, refuse_options
from tunewright.training.optimizers.cautious_adam import CautiousAdam
from tunewright.training.task import Group

ParamGroups = list[dict[str, Any]]
OPTIMIZERS: Registry[Callable[..., Optimizer]] = Registry("optimizer", plugins.OPTIMIZERS)
"""Optimisers with keys of their own, and those of installed packages: functions or classes.

A component takes the parameter groups from the program, the rest by name. Those of installed
packages get `lr`, `weight_decay` and `options`.
"""


def make_optimizer(config: Optim, groups: Sequence[Group]) -> Optimizer:
    """Make the optimiser of a task's groups; groups that do not decay have weight decay 0.

    Raises ConfigError for an optimiser that is not installed, does not take the options, cannot
    train these parameters, or needs more in a step than gradients.
    """
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
    if isinstance(config, OtherOptimizer):
        return _make_other(config, parameters)
    return OPTIMIZERS[config.type](parameters, **plugins.options_of(config))


@OPTIMIZERS
def adamw(
    groups: ParamGroups,
    /,
    *,
    lr: float = 1e-4,
    weight_decay: float = 0.01,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Optimizer:
    """Make torch's AdamW."""
    return torch.optim.AdamW(
        groups, lr=lr, weight_decay=weight_decay, betas=(beta1, beta2), eps=eps, fused=True
    )


@OPTIMIZERS
def adam(
    groups: ParamGroups,
    /,
    *,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Optimizer:
    """Make torch's Adam."""
    return torch.optim.Adam(
        groups, lr=lr, weight_decay=weight_decay, betas=(beta1, beta2), eps=eps, fused=True
    )


@OPTIMIZERS
def cautious_adam(
    groups: ParamGroups,
    /,
    *,
    lr: float = 1e-4,
    weight_decay: float = 0.0,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Optimizer:
    """Make an Adam that does not move a weight against its gradient."""
    return CautiousAdam(groups, lr=lr, weight_decay=weight_decay, betas=(beta1, beta2), eps=eps)


@OPTIMIZERS
def sgd(
    groups: ParamGroups,
    /,
    *,
    lr: float = 0.1,
    weight_decay: float = 5e-4,
    momentum: float = 0.9,
    nesterov: bool = True,
) -> Optimizer:
    """Make torch's SGD."""
    return torch.optim.SGD(
        groups, lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov, fused=True
    )


def set_factor(optimizer: Optimizer, factor: float) -> None:
    """Set every group's learning rate to its full one times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["full_lr"] * factor


def set_training(optimizer: Optimizer, *, training: bool) -> None:
    """Put an optimiser that swaps weights into its training or evaluation mode.

    Schedule-free optimisers (Defazio et al. 2024) evaluate other weights than they train. All
    others have no modes.
    """
    mode = getattr(optimizer, "train" if training else "eval", None)
    if callable(mode):
        mode()


def _make_other(config: OtherOptimizer, parameters: ParamGroups) -> Optimizer:
    make, accepted = _constructor(config.type)
    if reason := refuse_options(f"the optimizer {config.type}", config.options, accepted):
        raise ConfigError(f"optim.options = {config.options}", expected=reason)
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in config.options.items()}
    arguments = {"lr": config.lr, **options}
    if _takes(make, "weight_decay"):
        arguments["weight_decay"] = config.weight_decay
    elif config.weight_decay > 0.0:
        raise ConfigError(
            f"optim.weight_decay = {config.weight_decay:g}",
            expected=f"0, since the optimizer {config.type} has no weight decay",
        )
    try:
        made = make(parameters, **arguments)
    except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        raise ConfigError(
            f"the optimizer {config.type} cannot be made: {error}",
            remedy="Look at optim.lr, optim.weight_decay and optim.options, or use another one.",
        ) from error
    _refuse_other_steps(config.type, made)
    return made


def _constructor(name: str) -> tuple[Callable[..., Optimizer], Mapping[str, Any]]:
    """Return what makes the optimiser `name`, and its options with their defaults."""
    module, _, found = OTHER_OPTIMIZERS.get(name, "").partition(":")
    make: Callable[..., Optimizer]
    try:
        if not module:
            make = OPTIMIZERS[name]
        elif name in TIMM_OPTIMIZERS:  # timm binds defaults by name
            make = _with_timms_momentum(name)
        else:
            make = getattr(importlib.import_module(module), found)
    except (ImportError, AttributeError, ValueError):
        package = "timm" if name in TIMM_OPTIMIZERS else module.partition(".")[0]
        raise ConfigError(
            f"the installed {package} has no optimizer {name}",
            remedy=f"pip install --upgrade {package}, or use another optim.type.",
        ) from None
    parameters = list(inspect.signature(make).parameters.values())
    return make, {
        p.name: p.default
        for p in parameters[1:]  # the first are the parameter groups
        if p.name not in OWN_KEYS and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }


def _with_timms_momentum(name: str) -> Callable[..., Optimizer]:
    """Return timm's optimiser with its defaults; where one takes a momentum, timm means 0.9."""
    optim = importlib.import_module("timm.optim")
    make: Callable[..., Optimizer] = optim.get_optimizer_class(name)
    return partial(make, momentum=0.9) if optim.get_optimizer_info(name).has_momentum else make


def _takes(make: Callable[..., Optimizer], name: str) -> bool:
    return name in inspect.signature(make).parameters


def _refuse_other_steps(name: str, made: object) -> None:
    """Raise ConfigError for what is no optimiser, or takes no plain step."""
    if not isinstance(made, Optimizer):
        raise ConfigError(
            f"the optimizer {name} is a {type(made).__name__}", expected="a torch.optim.Optimizer"
        )
    needed = [
        p.name
        for p in inspect.signature(made.step).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if needed or hasattr(made, "first_step"):
        raise ConfigError(
            f"the optimizer {name} needs more than one gradient in a step",
            expected="an optimizer whose step() takes no argument",
            remedy="Compute the second gradient in the task's `backward`, with a plain optimizer.",
        )
