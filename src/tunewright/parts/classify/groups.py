"""Fine-tuning a network gently: learning rates by depth, and a head that trains first."""

from torch import nn

from tunewright.parts.classify.model_config import FineTune
from tunewright.training.task import Clock, Group


def groups(model: nn.Module, tuning: FineTune) -> list[Group]:
    """Every parameter of `model` once; its learning rate falls with its distance from the head."""
    raise NotImplementedError


def freeze(model: nn.Module, tuning: FineTune, clock: Clock) -> None:
    """For `Task.on_epoch`: only the head trains in the first `freeze_epochs`, then everything."""
    raise NotImplementedError
