"""Optimisers: one that works, and those that need more than one gradient in a step."""

import torch
from torch.optim import Optimizer


class SignDescent(Optimizer):
    """Step by the sign of the gradient's moving average, with decoupled weight decay."""

    def __init__(self, params, lr=1e-3, weight_decay=0.0, *, momentum=0.9):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                state = self.state[parameter]
                mean = state.setdefault("mean", torch.zeros_like(parameter))
                mean.lerp_(parameter.grad, 1 - group["momentum"])
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(mean.sign(), alpha=group["lr"])


class Twofold(SignDescent):
    """Needs a closure, as sharpness-aware optimisers do."""

    def step(self, closure):
        closure()
        super().step()


class Modal(SignDescent):
    """Trains other weights than it evaluates, as schedule-free optimisers do."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        self.swap(False)

    def swap(self, training):
        for group in self.param_groups:
            group["training"] = training

    def train(self):
        self.swap(True)

    def eval(self):
        self.swap(False)

    def step(self, closure=None):
        assert self.param_groups[0]["training"], "a step in evaluation mode"
        super().step()


def no_optimizer(params, /, *, lr):
    return lr
