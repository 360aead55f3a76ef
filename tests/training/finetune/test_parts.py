"""Parts of a network: which rates and fractions mean which parameters, and what is refused."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from tunewright.config.components.part_rates import PartRates
from tunewright.errors import ConfigError
from tunewright.training.finetune.freezing import freeze, frozen_for_now
from tunewright.training.finetune.parts import parts_of, plan_parts
from tunewright.training.task import Clock
from tunewright.training.weight_average import WeightAverage


class Network(nn.Module):
    """A body with a batch norm, a head, and a scalar of its own."""

    def __init__(self) -> None:
        super().__init__()
        body = OrderedDict(first=nn.Linear(3, 4), norm=nn.BatchNorm1d(4), second=nn.Linear(4, 4))
        self.body, self.head = nn.Sequential(body), nn.Linear(4, 2)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.body(x)) * self.scale
        return out


def clock(epoch: int, epochs: int = 10) -> Clock:
    return Clock(epoch, epoch, epochs, 1)


def test_parts_are_children_and_single_parameters() -> None:
    parts = parts_of(Network())
    assert {part: len(names) for part, names in parts.items()} == {"scale": 1, "body": 6, "head": 2}


def test_the_last_match_holds() -> None:
    plan = plan_parts(
        Network(), PartRates(lr_scales={"body": 0.5, "*.bias": 0.1, "body.second": 0.0})
    )
    assert plan.scales["body.first.weight"] == 0.5
    assert plan.scales["body.first.bias"] == plan.scales["head.bias"] == 0.1
    assert plan.scales["body.second.weight"] == plan.scales["body.second.bias"] == 0.0
    assert plan.scales["head.weight"] == plan.scales["scale"] == 1.0


@pytest.mark.parametrize("epochs", [10, 500, 3000])
def test_a_part_thaws_at_its_fraction_of_any_length(epochs: int) -> None:
    plan = plan_parts(Network(), PartRates(unfreeze={"body": 0.3, "head": 0.0, "body.norm": 0.1}))
    thawed = {
        name: next(e for e in range(epochs) if name not in plan.frozen_at(clock(e, epochs)))
        for name in plan.scales
    }
    assert thawed["body.first.weight"] == 3 * epochs // 10
    assert thawed["body.norm.weight"] == epochs // 10
    assert thawed["head.weight"] == thawed["scale"] == 0


@pytest.mark.parametrize("key", ["lr_scales", "unfreeze"])
def test_a_name_that_matches_nothing_lists_the_parts(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_parts(Network(), PartRates(**{key: {"entropy_bottleneck": 0.5}}))
    text = str(caught.value)
    assert f"finetune.{key}.entropy_bottleneck = 0.5 matches no parameter" in text
    assert "scale, body, head" in text
    with pytest.raises(ConfigError, match="Did you mean 'head'"):
        plan_parts(Network(), PartRates(**{key: {"haed": 0.5}}))


def test_nothing_to_train_and_what_contradicts_itself_are_refused() -> None:
    with pytest.raises(ConfigError, match="freezes every part at first: scale, body, head"):
        plan_parts(Network(), PartRates(unfreeze={"*": 0.1}))
    with pytest.raises(ConfigError, match=r"unfreeze.head = 0.2 with a factor of 0"):
        plan_parts(Network(), PartRates(lr_scales={"head": 0.0}, unfreeze={"head": 0.2}))


def test_the_table_has_every_parameter_once() -> None:
    model = Network()
    rates = PartRates(lr_scales={"scale": 0.0, "body": 0.5}, unfreeze={"body.second": 0.25})
    plan = plan_parts(model, rates)
    lines = plan.describe(model, plan.frozen_at(clock(0)))
    assert [" ".join(line.split()) for line in lines] == [
        "scale 1 tensors 1 parameters frozen",
        "body 4 tensors 24 parameters optim.lr x 0.5",
        "body 2 tensors 20 parameters frozen until 25 % of the run",
        "head 2 tensors 10 parameters optim.lr x 1",
    ]


def test_a_frozen_part_and_its_average_stay_bit_identical_for_a_hundred_steps() -> None:
    torch.manual_seed(0)
    model = Network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    average = WeightAverage(model, 0.9)

    def train(steps: int) -> None:
        for _ in range(steps):
            model(torch.randn(8, 3)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            average.update_parameters(model)

    def tensors() -> dict[str, torch.Tensor]:
        both = {"model": model, "average": average.module}
        return {
            f"{kind}.{name}": tensor.clone()
            for kind, each in both.items()
            for name, tensor in each.state_dict().items()
        }

    model.train()
    train(5)  # what is frozen now has moments, and an average that lags behind
    freeze(model, ["body.first.weight", "body.first.bias", "body.norm.weight", "body.norm.bias"])
    before = tensors()
    train(100)
    after = tensors()
    still = {name.split(".", 1)[1] for name in before if torch.equal(before[name], after[name])}
    moved = {name.split(".", 1)[1] for name in before if not torch.equal(before[name], after[name])}
    assert still == {n for n in model.state_dict() if n.startswith(("body.first", "body.norm"))}
    assert still.isdisjoint(moved)
    freeze(model, [])
    assert frozen_for_now(model) == frozenset()
    before = tensors()
    train(1)
    after = tensors()
    assert all(not torch.equal(before[name], after[name]) for name in before), "all move at once"
