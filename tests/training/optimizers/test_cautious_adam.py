"""Cautious Adam against its formula, written out entry by entry."""

import math

import pytest
import torch
from torch import Tensor, nn

from tunewright.config.components.optimizers import CautiousAdamConfig
from tunewright.training.optim import make_optimizer
from tunewright.training.optimizers.cautious_adam import CautiousAdam
from tunewright.training.task import Group

LR, BETAS, EPS = 0.05, (0.9, 0.999), 1e-8


class Reference:
    """The sheet's rule for one tensor, in plain Python."""

    def __init__(self, start: Tensor, decay: float) -> None:
        self.values, self.decay = start.flatten().tolist(), decay
        self.m, self.v, self.t = [0.0] * len(self.values), [0.0] * len(self.values), 0

    def step(self, gradient: Tensor) -> None:
        self.t += 1
        g = gradient.flatten().tolist()
        self.m = [BETAS[0] * m + (1 - BETAS[0]) * x for m, x in zip(self.m, g, strict=True)]
        self.v = [BETAS[1] * v + (1 - BETAS[1]) * x * x for v, x in zip(self.v, g, strict=True)]
        agrees = [m * x > 0 for m, x in zip(self.m, g, strict=True)]
        scale = min(10.0, 1.0 / max(sum(agrees) / len(agrees), 1e-3))
        for i, (m, v, moves) in enumerate(zip(self.m, self.v, agrees, strict=True)):
            root = math.sqrt(v) / math.sqrt(1 - BETAS[1] ** self.t) + EPS
            self.values[i] *= 1 - LR * self.decay
            self.values[i] -= LR / (1 - BETAS[0] ** self.t) * m * moves * scale / root


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_every_entry_moves_by_the_formula(decay: float) -> None:
    draw = torch.Generator().manual_seed(0)
    starts = [torch.randn(size, generator=draw, dtype=torch.float64) for size in ((3, 4), (5,))]
    parameters = [nn.Parameter(start.clone()) for start in starts]
    optimizer = CautiousAdam(parameters, lr=LR, betas=BETAS, eps=EPS, weight_decay=decay)
    references = [Reference(start, decay) for start in starts]
    still = 0
    for _ in range(40):
        for parameter, reference in zip(parameters, references, strict=True):
            gradient = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
            parameter.grad = gradient
            reference.step(gradient)
        before = parameters[0].detach().clone()
        optimizer.step()
        still += int((parameters[0].detach() == before).sum())
    for parameter, reference in zip(parameters, references, strict=True):
        assert parameter.flatten().tolist() == pytest.approx(reference.values, rel=1e-12)
    assert decay or still > 50, "entries whose momentum and gradient disagree stood still"


def test_at_most_ten_times_where_few_entries_agree() -> None:
    parameter = nn.Parameter(torch.zeros(100))
    optimizer = CautiousAdam([parameter], lr=1.0)
    parameter.grad = torch.ones(100)
    optimizer.step()
    before = parameter.detach().clone()
    gradient = torch.full((100,), -1e-3)  # against the momentum of all
    gradient[0] = 1.0  # but one
    parameter.grad = gradient
    optimizer.step()
    moved = before - parameter.detach()
    assert moved.nonzero().flatten().tolist() == [0]
    m, v = 0.1 * 0.9 + 0.1, 1e-3 * 0.999 + 1e-3
    plain = m / (1 - 0.9**2) / (math.sqrt(v / (1 - 0.999**2)) + EPS)
    assert float(moved[0]) == pytest.approx(10.0 * plain, rel=1e-4)


def test_a_parameter_without_a_gradient_neither_moves_nor_decays() -> None:
    """A frozen part stays bit for bit, and counts its own steps once it is thawed."""
    frozen, trained = (nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizer = CautiousAdam([frozen, trained], lr=0.1, weight_decay=0.5)
    for _ in range(5):
        trained.grad = torch.ones(3)
        optimizer.step()
    assert torch.equal(frozen.detach(), torch.ones(3))
    frozen.grad = torch.ones(3)
    optimizer.step()
    assert optimizer.state[frozen]["step"] == 1
    assert optimizer.state[trained]["step"] == 6
    assert frozen.tolist() == pytest.approx([1 - 0.1 * 0.5 - 0.1] * 3)


def test_the_configuration_sets_all_of_it() -> None:
    config = CautiousAdamConfig(lr=0.3, weight_decay=0.2, beta1=0.8, beta2=0.95, eps=1e-6)
    made = make_optimizer(config, [Group("all", [nn.Parameter(torch.ones(2, 2))])])
    assert isinstance(made, CautiousAdam)
    group = made.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.2)
    assert (group["betas"], group["eps"]) == ((0.8, 0.95), 1e-6)


def test_sparse_gradients_are_refused() -> None:
    table = nn.Embedding(4, 2, sparse=True)
    optimizer = CautiousAdam(table.parameters())
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="sparse"):
        optimizer.step()
