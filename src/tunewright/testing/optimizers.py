"""Contract tests for optimisers."""

import io
from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.optim import Optimizer

from tunewright.config.components.optimizers import Optim
from tunewright.config.leaves import choices_of
from tunewright.config.schema import RunConfig
from tunewright.training.optim import make_optimizer, set_factor, set_training
from tunewright.training.task import Group


class OptimizerContract(ABC):
    """Inherit this class and name the optimiser.

    settings: keys of the section `optim` besides `type`. decays: whether it has weight decay.
    follows_rate: whether it stands still at a learning rate of 0.
    """

    name: ClassVar[str]
    settings: ClassVar[Mapping[str, Any]] = {}
    decays: ClassVar[bool] = True
    follows_rate: ClassVar[bool] = True

    @pytest.fixture
    def model(self) -> nn.Module:
        """Return a small network with a convolution, a norm and a linear layer."""
        return _network()

    def make(self, model: nn.Module, **settings: Any) -> Optimizer:
        """Make the optimiser of two groups: matrices, which decay, and vectors at half the rate."""
        given = {"type": self.name, "weight_decay": 0.0, **self.settings, **settings}
        config: Optim = TypeAdapter(Optim).validate_python(given)
        parameters = list(model.parameters())
        groups = [
            Group("matrices", [p for p in parameters if p.ndim >= 2]),
            Group("vectors", [p for p in parameters if p.ndim < 2], lr_scale=0.5, decays=False),
        ]
        made = make_optimizer(config, groups)
        set_training(made, training=True)
        return made

    def test_a_configuration_can_name_it(self) -> None:
        assert self.name in choices_of(RunConfig, "optim.type")

    def test_it_trains(self, model: nn.Module) -> None:
        optimizer = self.make(model)
        losses = [_take_step(model, optimizer) for _ in range(30)]
        assert losses[-1] < losses[0]

    def test_the_groups_keep_their_names_and_rates(self, model: nn.Module) -> None:
        groups = self.make(model, lr=0.01).param_groups
        assert [group["name"] for group in groups] == ["matrices", "vectors"]
        assert [group["lr"] for group in groups] == pytest.approx([0.01, 0.005])

    def test_the_schedule_sets_its_rate(self, model: nn.Module) -> None:
        if not self.follows_rate:
            pytest.skip("its steps have a size of their own")
        optimizer = self.make(model)
        set_factor(optimizer, 0.0)
        before = _weights(model)
        _take_step(model, optimizer)
        assert torch.allclose(_weights(model), before, atol=1e-5)
        set_factor(optimizer, 1.0)
        _take_step(model, optimizer)
        assert not torch.allclose(_weights(model), before, atol=1e-5)

    def test_only_groups_that_decay_shrink(self, model: nn.Module) -> None:
        if not self.decays:
            pytest.skip("it has no weight decay")
        optimizer = self.make(model, lr=0.01, weight_decay=0.5)
        norms = []
        for _ in range(6):
            norms.append([float(g["params"][0].detach().norm()) for g in optimizer.param_groups])
            for parameter in model.parameters():
                parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
        assert norms[-1][0] < norms[0][0]
        assert norms[-1][1] == pytest.approx(norms[0][1], rel=1e-6)

    def test_a_resumed_training_is_the_same(self, model: nn.Module) -> None:
        optimizer = self.make(model)
        for _ in range(3):
            _take_step(model, optimizer)
        file = io.BytesIO()
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
        file.seek(0)
        other = _network()
        again = self.make(other)
        stored = torch.load(file, weights_only=True)
        other.load_state_dict(stored["model"])
        again.load_state_dict(stored["optimizer"])
        for one, its in ((model, optimizer), (other, again)):
            torch.manual_seed(3)
            for _ in range(3):
                _take_step(one, its)
        assert torch.equal(_weights(model), _weights(other))


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 3)
    )


def _take_step(model: nn.Module, optimizer: Optimizer) -> float:
    images = torch.randn(24, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    loss = nn.functional.cross_entropy(model(images), torch.arange(24) % 3)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def _weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])
