"""The average of weights forgets its beginning, and says where a decay alone would not."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tunewright.contrastive.losses import LOSSES
from tunewright.training.weight_average import WeightAverage, average_notices, warmed_up_decay


@given(decay=st.floats(0, 0.99999), steps=st.integers(1, 5000))
def test_less_than_the_inverse_of_the_steps_is_left_of_the_beginning(decay: float, steps: int):
    left = 1.0
    for n in range(steps):
        left *= warmed_up_decay(decay, n)
    assert left <= max(1.0 / (1 + steps), 1e-300)
    assert warmed_up_decay(decay, steps) <= decay


@settings(max_examples=50)
@given(decay=st.floats(0.5, 0.99999), steps=st.integers(1, 100_000))
def test_the_largest_decay_that_fits_is_one_of_which_nothing_is_said(decay: float, steps: int):
    notices = average_notices(decay, steps)
    assert bool(notices) == (decay > 1 - 1 / steps)
    for notice in notices:
        fits = float(re.findall(r"ema_decay=([\d.]+)", notice)[-1])
        assert average_notices(fits, steps) == []
        assert 1 - fits <= 1.5 / steps


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.9999])
def test_statistics_are_averaged_and_counters_copied(decay: float) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    average = WeightAverage(model, decay)
    before = {name: value.clone() for name, value in average.module.state_dict().items()}
    model(3.0 + torch.randn(8, 2))
    with torch.no_grad():
        model[0].weight.add_(1.0)
    average.update_parameters(model)
    kept = min(decay, 0.1)
    for name, value in model.state_dict().items():
        found = average.module.state_dict()[name]
        if name.endswith("num_batches_tracked"):
            assert found == value == 1
        else:
            torch.testing.assert_close(found, kept * before[name] + (1 - kept) * value)


def test_past_texts_are_no_statistics() -> None:
    model = nn.ModuleDict({"criterion": LOSSES["queue"](4, queue_size=6)})
    average = WeightAverage(model, 0.9)
    for _ in range(3):
        model["criterion"].enqueue(torch.randn(4, 4), torch.arange(4))
        average.update_parameters(model)
    assert torch.equal(average.module["criterion"].queue, model["criterion"].queue)
    assert average.module["criterion"].enqueued == 12
